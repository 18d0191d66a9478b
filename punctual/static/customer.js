// Keeps the moving part of the page true: asks once a minute while somebody looks, swaps only what changed.
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.live, { cache: "no-store" });
      if (!answer.ok) return;
      const fresh = document.createElement("div");
      fresh.innerHTML = await answer.text();
      const before = live.querySelector("#eta")?.dataset.range;
      live.replaceChildren(...fresh.childNodes);
      const now = live.querySelector("#eta");
      if (now && before !== now.dataset.range) {
        const status = document.querySelector("[role=status]");
        if (status) status.textContent = now.querySelector("h1").textContent + ". " + (now.querySelector(".range")?.textContent ?? "");
      }
    } catch { /* no signal: the page still shows when it was checked */ }
  };
  setInterval(look, 20000);
  document.addEventListener("visibilitychange", look);
})();
