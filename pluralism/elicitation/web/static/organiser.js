"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  // On a narrow page the tabs scroll: the one that is open is shown.
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.scrollIntoView({ block: "nearest", inline: "center" });
  const figures = document.querySelector("[data-fresh]");
  if (figures) {
    setInterval(async () => {
      if (document.hidden) return;
      const answer = await fetch(figures.dataset.fresh).catch(() => null);
      if (answer === null || !answer.ok) return;
      Object.entries(await answer.json()).forEach(([name, number]) => {
        const shown = figures.querySelector(`[data-count="${CSS.escape(name)}"]`);
        if (shown && shown.textContent !== number) shown.textContent = number;
      });
    }, 5000);
  }
  // A second click would do a thing twice. Files come without a new page, so that buttons come back after a while.
  document.querySelectorAll("form[method=post]").forEach((form) => form.addEventListener("submit", () => {
    const buttons = form.querySelectorAll("button");
    setTimeout(() => buttons.forEach((button) => { button.disabled = true; }));
    setTimeout(() => buttons.forEach((button) => { button.disabled = false; }), 4000);
  }));
  document.querySelectorAll("[data-copy]").forEach((field) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = field.dataset.copy;
    button.addEventListener("click", async () => {
      field.select();
      await navigator.clipboard.writeText(field.value);
      button.textContent = field.dataset.copied;
    });
    field.after(button);
  });
})();
