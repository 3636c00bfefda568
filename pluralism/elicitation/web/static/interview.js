"use strict";
(() => {
  document.documentElement.classList.add("scripted");

  // Texts that are not sent yet survive a reload in this tab, and nothing longer.
  const drafts = document.querySelectorAll("[data-draft]");
  const place = (field) => `draft ${location.pathname} ${field.dataset.draft}`;
  const remember = (field) => {
    try { sessionStorage.setItem(place(field), field.value); } catch { /* a full or closed store keeps nothing */ }
  };
  const forget = () => { try { sessionStorage.clear(); } catch { /* nothing was kept */ } };
  drafts.forEach((field) => {
    let kept = null;
    try { kept = sessionStorage.getItem(place(field)); } catch { /* nothing was kept */ }
    if (kept !== null && field.value === field.defaultValue && !document.getElementById("notice")) field.value = kept;
    field.addEventListener("input", () => remember(field));
  });

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

  const show = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    document.title = page.title;
    document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
    listen();
    (document.getElementById("notice") || document.querySelector("main")).focus();
    scrollTo(0, 0);
  };

  // Server-sent events of one answer: pieces of a question while it is written, then the end.
  const read = async (body, heard) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value.replaceAll("\r\n", "\n");
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const lines = rest.slice(0, end).split("\n");
        rest = rest.slice(end + 2);
        const found = (name) => (lines.find((line) => line.startsWith(`${name}: `)) || "").slice(name.length + 2);
        if (found("event")) heard(found("event"), JSON.parse(found("data") || '""'));
      }
    }
  };

  const send = async (form, button) => {
    const fields = new FormData(form);
    if (button && button.name) fields.append(button.name, button.value);
    const buttons = [...document.querySelectorAll("main button")];
    buttons.forEach((one) => { one.disabled = true; });
    let writing = null;
    const write = () => {
      if (writing === null) {
        writing = document.createElement("p");
        writing.className = "asked writing";
        writing.setAttribute("aria-busy", "true");
        form.replaceWith(writing);
      }
      return writing;
    };
    let outcome = "fail";
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new URLSearchParams(fields), headers: { Accept: "text/event-stream" },
      });
      if (!(answer.headers.get("Content-Type") || "").startsWith("text/event-stream")) {
        show(await answer.text());
        return;
      }
      forget();
      await read(answer.body, (name, text) => {
        if (name === "piece") write().textContent += text;
        else if (name === "back") write().textContent = "";
        else outcome = name;
      });
    } catch {
      outcome = writing === null ? "unsent" : "fail";
    }
    if (outcome === "unsent") {
      // Not a word is lost: the form stands as it was, and the browser's own sending shows what is wrong.
      buttons.forEach((one) => { one.disabled = false; });
      if (form.hasAttribute("data-at-once")) return;
      form.removeAttribute("data-stream");
      form.requestSubmit(button || undefined);
      return;
    }
    // What failed is tried again by hand, not for ever.
    location.assign(outcome === "fail" ? "/interview?wait" : "/interview");
  };

  const listen = () => {
    document.querySelectorAll("form[data-stream]").forEach((form) => {
      form.addEventListener("submit", (event) => {
        if (!form.hasAttribute("data-stream")) return;
        event.preventDefault();
        send(form, event.submitter);
      });
      if (form.hasAttribute("data-at-once") && location.search !== "?wait") send(form, null);
    });
    document.querySelectorAll("form:not([data-stream])").forEach((form) => form.addEventListener("submit", forget));
    document.querySelectorAll("textarea").forEach((field) => field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field.form) field.form.requestSubmit();
    }));
  };
  listen();

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea, select, input:not([type=radio])")) return;
    const choice = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (choice) {
      choice.checked = true;
      choice.focus();
    }
  });
})();
