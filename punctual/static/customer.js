// Says once that somebody sees the page, as soon as it is visible; nothing hangs on it.
(() => {
  const page = document.querySelector("[data-seen]");
  const say = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", say);
    fetch(page.dataset.seen, { method: "POST", keepalive: true }).catch(() => {});
  };
  if (!page) return;
  document.addEventListener("visibilitychange", say);
  say();
})();
// Keeps the moving part of the page true: asks every 20 seconds while somebody looks, says aloud only what changed.
(() => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  let gone;
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.live, { cache: "no-store" });
      if (!answer.ok) return;
      const fresh = document.createElement("div");
      fresh.innerHTML = await answer.text();
      const before = { ...document.getElementById("eta").dataset };
      const now = fresh.querySelector("#eta");
      if (!now) return;
      for (const part of ["stops", "eta"]) {
        const there = fresh.querySelector("#" + part);
        if (there) document.getElementById(part)?.replaceWith(there);
      }
      if (before.state === now.dataset.state && before.range === now.dataset.range) return;
      // Another state offers other choices: load them, unless something is being written. A page that loads is read out.
      const writing = [...document.querySelectorAll("textarea, input[type=tel]")].some((x) => x.value);
      if (before.state !== now.dataset.state && !writing) return location.replace(location.pathname);
      // For who listens; who looks sees the heading itself. Gone again, so that nobody comes upon it twice.
      const words = [now.querySelector("#head"), now.querySelector(".range")].map((x) => x?.textContent.trim()).filter(Boolean);
      const news = document.querySelector("[data-news]");
      news.textContent = words.join(". ");
      clearTimeout(gone);
      gone = setTimeout(() => { news.textContent = ""; }, 10000);
    } catch { /* no signal: the page still shows when it was checked */ }
  };
  setInterval(look, 20000);
  document.addEventListener("visibilitychange", look);
})();
