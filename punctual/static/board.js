// The board in a browser: asks for what has changed every two seconds, opens a visit beside the lines, listens to keys.
// Without it every link and form still works.
"use strict";
(() => {
  const desk = document.getElementById("desk");
  const live = document.getElementById("live");
  const drawer = document.getElementById("drawer");
  const etags = {};
  let opener = null;
  const typing = (t) => t.closest("input, textarea, select, [contenteditable]");
  const say = (text) => { if (live && live.textContent !== text) live.textContent = text; };

  // What is polled carries its ETag, so that an unchanged board costs one number.
  const polled = desk ? ["rows", "queue"].map((id) => document.getElementById(id)) : [];
  polled.forEach((el) => { etags[el.id] = el.dataset.etag && `"${el.dataset.etag}"`; });
  const refresh = () => { if (!document.hidden) polled.forEach((el) => el.dispatchEvent(new CustomEvent("refresh"))); };
  if (desk) {
    say(live.dataset.live);
    setInterval(refresh, 1800 + Math.random() * 300);
    document.addEventListener("visibilitychange", refresh);
  }
  document.addEventListener("htmx:before:request", (event) => {
    const etag = polled.includes(event.target) && etags[event.target.id];
    if (etag) event.detail.ctx.request.headers["If-None-Match"] = etag;
  });
  // Signed out meanwhile: the whole page goes to sign in, not a piece of it.
  document.addEventListener("htmx:before:response", (event) => {
    const { raw } = event.detail.ctx.response;
    if (!raw.redirected || !raw.url.includes("/sign-in")) return;
    event.preventDefault();
    location.assign(`/board/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  });
  document.addEventListener("htmx:after:request", (event) => {
    const response = event.detail.ctx.response;
    if (polled.includes(event.target)) {
      if (response.status < 400) {
        etags[event.target.id] = response.headers.get("ETag");
        if (away.delete(event.target.id) && !away.size) say(live.dataset.live);
      } else {
        lost(event.target);
      }
    } else if (event.target.method === "post" && response.status < 400) {
      setTimeout(refresh, 0);
    }
  });
  const away = new Set();
  const lost = (el) => {
    if (!away.size) say(`Not live since ${new Date().toTimeString().slice(0, 5)}. Trying again.`);
    away.add(el.id);
  };
  document.addEventListener("htmx:error", (event) => { if (polled.includes(event.target)) lost(event.target); });

  // A refusal is a sentence; it is shown where the eyes are and kept until the next act.
  document.addEventListener("htmx:response:error", (event) => {
    if (polled.includes(event.target)) return;
    const page = new DOMParser().parseFromString(event.detail.ctx.text || "", "text/html");
    const said = page.querySelector("h1");
    refuse(said?.textContent || "That did not work. Nothing was saved. Try again.", event.target, said?.dataset.field);
  });
  const refuse = (sentence, near, name) => {
    document.getElementById("refused")?.remove();
    document.querySelectorAll("[aria-invalid]").forEach((el) => { el.removeAttribute("aria-invalid"); el.removeAttribute("aria-describedby"); });
    const p = document.createElement("p");
    p.id = "refused";
    p.className = "banner late";
    p.setAttribute("role", "alert");
    p.textContent = sentence;
    const field = name && near?.querySelector?.(`[name="${CSS.escape(name)}"]:not([type=hidden])`);
    if (field) {
      p.className = "late wide";
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", p.id);
      (field.closest("label") || field).before(p);
      field.focus();
      return;
    }
    const room = near?.closest?.("#drawer") || document.getElementById("banners");
    room.prepend(p);
    p.scrollIntoView({ block: "nearest" });
  };

  // Newly urgent: said once, politely, not by reading the board again.
  let known = new Set([...document.querySelectorAll(".queue .task")].map((li) => li.id));
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.target.id !== "queue" && event.detail?.ctx?.target?.id !== "queue") return;
    const now = [...document.querySelectorAll(".queue .task")];
    const fresh = now.find((li) => !known.has(li.id));
    known = new Set(now.map((li) => li.id));
    if (fresh) say(`${live.dataset.live}. New: ${fresh.querySelector("h3").innerText.replace(/\s+/g, " ").trim()}`);
  });

  // The drawer: a visit laid over the queue; Esc closes it and gives the focus back.
  const open = async (href, push = true, from = document.activeElement) => {
    if (!drawer || !desk) return location.assign(href);
    if (drawer.hidden) opener = from?.id || from?.getAttribute?.("href") || null;
    await htmx.ajax("GET", href, { target: "#drawer", swap: "innerHTML" });
    drawer.hidden = false;
    desk.classList.add("with-drawer");
    document.querySelectorAll(".block[aria-current]").forEach((a) => a.removeAttribute("aria-current"));
    document.querySelector(`.block[href="${CSS.escape(href.split("?")[0])}"]`)?.setAttribute("aria-current", "true");
    if (push) history.pushState({ drawer: href }, "", href);
    const part = href.includes("#") && document.getElementById(href.split("#")[1]);
    if (part) { part.open = true; part.scrollIntoView(); (part.querySelector("summary") || part).focus(); }
    else drawer.querySelector("h2")?.focus();
  };
  const close = (push = true) => {
    if (!drawer || !desk || drawer.hidden) return;
    drawer.hidden = true;
    drawer.textContent = "";
    desk.classList.remove("with-drawer");
    document.querySelectorAll(".block[aria-current]").forEach((a) => a.removeAttribute("aria-current"));
    if (push) history.pushState({}, "", dayUrl);
    const back = opener && (document.getElementById(opener) || document.querySelector(`a[href="${CSS.escape(opener)}"]`));
    (back || document.querySelector(".block"))?.focus();
  };
  const dayUrl = location.pathname + location.search;
  window.addEventListener("popstate", (event) => {
    if (event.state?.drawer) open(event.state.drawer, false);
    else if (desk && location.pathname + location.search === dayUrl) close(false);
    else location.reload();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const jump = event.target.closest("[data-jump]");
    if (jump) {
      const part = document.querySelector(jump.getAttribute("href"));
      if (part) { event.preventDefault(); part.open = true; part.querySelector("summary").focus(); part.scrollIntoView({ block: "nearest" }); }
      return;
    }
    const link = event.target.closest("a[data-drawer], a[data-close]");
    if (!link || !desk) return;
    event.preventDefault();
    if (link.hasAttribute("data-close")) close(); else open(link.getAttribute("href"), true, link);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-drawer-form]");
    if (!form || !desk) return;
    event.preventDefault();
    open(`${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`, false);
  });

  // Keys, off while somebody types and switched off in the list of keys.
  const keys = document.getElementById("keys");
  const on = document.getElementById("keys-on");
  const wanted = () => localStorage.getItem("punctual.keys") !== "off";
  if (on) {
    on.checked = wanted();
    on.addEventListener("change", () => localStorage.setItem("punctual.keys", on.checked ? "on" : "off"));
  }
  document.getElementById("keys-button")?.addEventListener("click", () => keys.showModal());
  const tasks = () => [...document.querySelectorAll(".queue h3 a")];
  const step = (list, by) => {
    const at = list.findIndex((el) => el === document.activeElement || el.closest("li")?.contains(document.activeElement));
    list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by))]?.focus();
  };
  const along = (block, by) => step([...block.closest(".lane").querySelectorAll(".block")], by);
  const between = (block, by) => {
    const rows = [...document.querySelectorAll(".row")].filter((r) => r.querySelector(".block"));
    const next = rows[rows.indexOf(block.closest(".row")) + by];
    const x = block.getBoundingClientRect().left;
    const near = (a) => Math.abs(a.getBoundingClientRect().left - x);
    next && [...next.querySelectorAll(".block")].sort((a, b) => near(a) - near(b))[0].focus();
  };
  const act = (key) => {
    const room = drawer && !drawer.hidden ? drawer : document.activeElement.closest(".task") || document.querySelector(".task");
    room?.querySelector(`[data-key="${key}"]`)?.click();
  };
  const single = {
    "/": () => document.getElementById("q")?.focus(),
    "?": () => keys?.showModal(),
    j: () => step(tasks(), 1),
    k: () => step(tasks(), -1),
    g: () => act("g"),
    t: () => act("t"),
    c: () => act("c"),
    n: () => document.querySelector(".axis .now")?.scrollIntoView({ inline: "center", block: "nearest" }),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (typing(event.target)) event.target.blur(); else close();
      return;
    }
    if (typing(event.target) || !wanted()) return;
    const block = event.target.closest(".block");
    const moves = block && {
      ArrowRight: () => along(block, 1),
      ArrowLeft: () => along(block, -1),
      ArrowDown: () => between(block, 1),
      ArrowUp: () => between(block, -1),
    };
    const what = moves?.[event.key] || single[event.key];
    if (!what) return;
    event.preventDefault();
    what();
  });
})();
