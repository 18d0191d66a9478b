// Taps are made on the phone: key and time are fixed here, kept until the server has them, and never called "sent" before.
(() => {
  const body = document.body, strip = document.getElementById("strip"), box = document.getElementById("answer"), undo = box.querySelector("button");
  const started = performance.now(), server = Date.parse(body.dataset.now), speed = Number(body.dataset.speed) || 1;
  const now = () => new Date(server + (performance.now() - started) * speed);
  const clock = (d) => new Date(d).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: body.dataset.zone }).replace(/^0/, "");
  const KEEP = "punctual-taps";
  let queue = [], sending = false, etag = null;
  try { queue = JSON.parse(localStorage.getItem(KEEP) || "[]"); } catch { queue = []; }
  const keep = () => { try { localStorage.setItem(KEEP, JSON.stringify(queue)); return true; } catch { return false; } };
  // What came of a tap stands above the dock wherever the day is scrolled to; once sent, as long as on-my-way waits, and a little.
  const SHOWN_MS = 20000;
  let shown, report;
  const say = (words, kind, sent) => {
    strip.textContent = words;
    box.className = "saved near " + kind;
    report = sent;
    offer();
    clearTimeout(shown);
    if (kind === "sent") shown = setTimeout(leave, SHOWN_MS);
  };
  function leave() {
    if (box.matches(":focus-within, :hover")) shown = setTimeout(leave, SHOWN_MS);
    else { box.className = "vh"; undo.hidden = true; }
  }
  // Its Undo is the day's own, and only while that takes back this very report.
  function offer() {
    const held = document.activeElement === undo;
    undo.removeAttribute("aria-busy");
    undo.hidden = !report || document.getElementById("undo")?.dataset.report !== String(report);
    if (held && undo.hidden) { strip.tabIndex = -1; strip.focus({ preventScroll: true }); }
  }
  const dock = new ResizeObserver(([seen]) => document.documentElement.style.setProperty("--dock", `${seen.target.offsetHeight}px`));
  function watch() {
    dock.disconnect();
    const below = document.querySelector(".dock");
    if (below) dock.observe(below, { box: "border-box" });
    else document.documentElement.style.removeProperty("--dock");
  }
  watch();

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-tap]");
    if (!form) return;
    event.preventDefault();
    const at = now(), fields = Object.fromEntries(new FormData(form));
    fields.key = crypto.randomUUID ? crypto.randomUUID() : fields.key;
    fields.tapped_at = at.toISOString();
    const label = form.dataset.label + (fields.time ? ` ${fields.time.replace(/^0/, "")}` : "");
    queue.push({ url: form.action, body: fields, label });
    const kept = keep();
    const button = event.submitter || form.querySelector("button");
    button.setAttribute("aria-busy", "true");
    say(kept ? `${label} saved on this phone at ${clock(at)}. Not sent yet.` : "This phone cannot save taps. Stay on this page until it says Sent.", "");
    flush();
  });

  // A tap's answer carries the new times: they are shown though the fresh day may not come through.
  function expect(etas) {
    for (const eta of etas) {
      const time = document.querySelector(`time[data-eta="${eta.visit}"]`);
      if (time) Object.assign(time, { dateTime: eta.expected, textContent: clock(eta.expected) });
    }
  }

  // Who is told, who is told later and from when, and who waits for a person: in the words of web/technician.py.
  const TOLD = { tell: "Being told", later: "Told later", office: "The office decides about telling", task: "The office is asked to call", not_now: "Not told now" };
  function told(list) {
    const who = (decision) => {
      const names = new Map();
      for (const t of list) if (t.decision === decision) names.set(t.when || "", [...(names.get(t.when || "") || []), t.name]);
      return [...names].map(([when, some]) => some.join(", ") + (when && `, from ${when}`)).join("; ");
    };
    return Object.keys(TOLD).map((decision) => [TOLD[decision], who(decision)]).map(([words, names]) => names && ` ${words}: ${names}.`).join("") || " Nobody needs to be told.";
  }

  async function flush() {
    if (sending) return;
    sending = true;
    while (queue.length) {
      const tap = queue[0];
      let answer;
      try {
        answer = await fetch(tap.url, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(tap.body) });
      } catch {
        say(`${queue.length} ${queue.length === 1 ? "tap" : "taps"} saved on this phone. Sent when there is signal.`, "");
        break;
      }
      if ([401, 403, 408, 425, 429].includes(answer.status) || answer.status >= 500) {
        say(answer.status === 401 ? "You are signed out here. Your taps are kept. Ask the office for a new link." : "Not sent yet. Your taps are kept; we try again.", "");
        break;
      }
      queue.shift();
      keep();
      const result = await answer.json().catch(() => ({}));
      if (answer.ok) {
        say(`${tap.label} sent at ${clock(now())}.` + (tap.url.endsWith("/undo") ? "" : told([...(result.told || []), ...(result.later || [])])), "sent", result.report);
        expect(result.etas || []);
      } else say(`Not taken: ${result.detail || "the office sees why."}`, "refused");
      await refresh(true);
    }
    sending = false;
  }

  // A fresh day leaves the keyboard on the button it stood on: the same words, else what does the same.
  function show(html) {
    const live = document.getElementById("live"), held = live.contains(document.activeElement) ? document.activeElement : null;
    live.innerHTML = html;
    watch();
    if (box.matches(".near")) offer();
    for (const says of document.querySelectorAll("title, .top p")) says.textContent = says.textContent.replace(/\d+ of \d+/, live.querySelector("main").dataset.done);
    if (!held) return;
    const does = (x) => x.form?.action || x.href, words = (x) => x.textContent.trim();
    const alike = [...live.querySelectorAll(held.tagName)].filter((x) => does(x) === does(held));
    (alike.find((x) => words(x) === words(held)) || alike[0])?.focus({ preventScroll: true });
  }

  async function refresh(force) {
    if (document.hidden && !force) return;
    if (!force && document.querySelector("details[open]")) return;
    try {
      const headers = etag && !force ? { "If-None-Match": etag } : {};
      const answer = await fetch(body.dataset.live, { headers, cache: "no-store" });
      if (answer.status === 304 || !answer.ok) return;
      etag = answer.headers.get("ETag");
      show(await answer.text());
    } catch { /* no signal: what is shown stays */ }
  }

  setInterval(() => refresh(false), 2500);
  setInterval(flush, 4000);
  addEventListener("online", flush);
  document.addEventListener("visibilitychange", () => { flush(); refresh(false); });
  flush();
})();
