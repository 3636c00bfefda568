"use strict";
(() => {
  document.documentElement.classList.add("scripted");
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
