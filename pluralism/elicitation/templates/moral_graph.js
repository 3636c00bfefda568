"use strict";
(() => {
  // font size of labels in the picture, the least in pixels that is read, the one wanted, and how many fit side by side
  const LABEL = 14, LEAST = 7, LEGIBLE = 12, LABELLED = 40;
  const data = JSON.parse(document.getElementById("data").textContent);
  const svg = document.querySelector(".canvas svg");
  const details = document.getElementById("details");
  const controls = document.getElementById("controls");
  const context = document.getElementById("context");
  const search = document.getElementById("search");
  const sure = document.getElementById("sure");
  const edges = [];
  svg.querySelectorAll(".edge").forEach((edge) => { edges[Number(edge.dataset.edge)] = edge; });
  const values = [...svg.querySelectorAll(".value")];
  const words = data.words;
  const answers = [words.answer_yes, words.answer_no, words.answer_unsure];
  const say = (text, places) => text.replace(/\{(\w+)\}/g, (_, name) => places[name]);
  controls.classList.remove("hidden");

  const make = (tag, text, ...children) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    element.append(...children);
    return element;
  };
  const table = (caption, header, rows) => {
    const head = make("thead", null, make("tr", null, ...header.map((name) => {
      const cell = make("th", name);
      cell.scope = "col";
      return cell;
    })));
    const body = make("tbody", null, ...rows.map((row) => make("tr", null, ...row.map((cell) => make("td", cell)))));
    const wrapper = make("div", null, make("table", null, make("caption", caption), head, body));
    wrapper.className = "scroll";
    return wrapper;
  };
  const show = (...parts) => details.replaceChildren(...parts);
  const choose = (element) => {
    svg.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
    element.classList.add("chosen");
  };
  const rowsOf = (edge) => data.edges[edge].rows.filter((row) => context.value === "" || String(row[0]) === context.value);

  const showEdge = (edge) => {
    const found = data.edges[edge];
    const source = data.values[found.source], wiser = data.values[found.wiser];
    const parts = [
      make("h2", say(words.is_wiser, { wiser: wiser.title, source: source.title })),
      make("p", say(words.half, { p: found.p.toFixed(2), verdict: found.verdict })),
      table(words.by_context, [words.context, ...answers], rowsOf(edge).map((row) => [data.contexts[row[0]] || "–", ...row[1]])),
    ];
    for (const story of found.stories) parts.push(make("h3", words.story), make("p", story));
    const votes = found.votes.filter((vote) => context.value === "" || String(vote.context) === context.value);
    if (votes.length) {
      parts.push(table(
        say(words.n_votes, { n: votes.length }),
        [words.person, words.answer, words.context, words.time, words.comment],
        votes.map((vote) => [
          vote.person, answers[vote.answer] + (vote.counts ? "" : words.replaced), data.contexts[vote.context] || "–",
          vote.time || "–", vote.comment || "",
        ]),
      ));
    }
    show(...parts);
    choose(edges[edge]);
  };
  const showValue = (value) => {
    const found = data.values[value];
    const parts = [make("h2", found.title)];
    if (found.description) parts.push(make("p", found.description));
    if (found.when) parts.push(make("p", found.when));
    parts.push(make("ul", null, ...found.policies.map((policy) => make("li", policy))), make("p", found.place));
    const near = data.edges.flatMap((edge, number) => (edge.source === value || edge.wiser === value ? [number] : []));
    const list = make("ul", null, ...near.filter((number) => rowsOf(number).length).map((number) => {
      const edge = data.edges[number];
      const other = data.values[edge.source === value ? edge.wiser : edge.source].title;
      const button = make("button", say(edge.source === value ? words.other_wiser : words.wiser_than, { title: other }));
      button.type = "button";
      button.addEventListener("click", () => showEdge(number));
      return make("li", null, button);
    }));
    show(...parts, make("h3", words.judged_with), list);
    choose(values[value]);
    const lines = new Set(near);
    const beside = new Set(near.flatMap((number) => [data.edges[number].source, data.edges[number].wiser]));
    svg.classList.add("focused");
    edges.forEach((edge, number) => edge.classList.toggle("dim", !lines.has(number)));
    values.forEach((other, number) => other.classList.toggle("near", beside.has(number)));
  };

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = data.values.map((value) => wanted !== "" && value.text.includes(wanted));
    const few = found.filter(Boolean).length <= LABELLED;
    const used = new Set();
    svg.classList.toggle("focused", wanted !== "");
    edges.forEach((edge, number) => {
      const one = data.edges[number];
      const here = rowsOf(number).length > 0 && (!sure.checked || one.wiser_sure);
      edge.classList.toggle("hidden", !here);
      edge.classList.toggle("dim", wanted !== "" && !found[one.source] && !found[one.wiser]);
      if (here) used.add(one.source).add(one.wiser);
    });
    values.forEach((value, number) => {
      value.classList.toggle("hidden", (context.value !== "" || sure.checked) && !used.has(number));
      value.classList.toggle("dim", wanted !== "" && !found[number]);
      value.classList.toggle("near", few && found[number]);
    });
    document.getElementById("count").textContent = say(words.shown, { n: edges.filter((edge) => !edge.classList.contains("hidden")).length });
  };
  for (const control of [context, search, sure]) control.addEventListener("input", filter);

  const active = (handler) => (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    handler();
  };
  edges.forEach((edge, number) => edge.addEventListener("click", active(() => showEdge(number))));
  values.forEach((value, number) => {
    value.addEventListener("click", active(() => showValue(number)));
    value.addEventListener("keydown", active(() => showValue(number)));
  });
  document.querySelectorAll("button[data-edge]").forEach((button) => {
    button.classList.remove("hidden");
    button.addEventListener("click", () => {
      showEdge(Number(button.dataset.edge));
      details.focus();
      details.scrollIntoView({ block: "nearest" });
    });
  });

  const whole = svg.viewBox.baseVal;
  const start = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  const view = { ...start };
  const fit = () => {
    const pixels = Math.min(svg.clientWidth / view.width, svg.clientHeight / view.height);
    svg.classList.toggle("far", LABEL * pixels < LEAST);
    svg.style.setProperty("--grow", pixels > 0 ? LEGIBLE / (LABEL * pixels) : 1);
  };
  const draw = () => {
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
    fit();
  };
  window.addEventListener("resize", fit);
  const zoom = (factor, x = view.x + view.width / 2, y = view.y + view.height / 2) => {
    const width = Math.min(Math.max(view.width * factor, start.width / 40), start.width * 2);
    const scale = width / view.width;
    Object.assign(view, { x: x - (x - view.x) * scale, y: y - (y - view.y) * scale, width, height: view.height * scale });
    draw();
  };
  const point = (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [place.x, place.y];
  };
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, ...point(event));
  }, { passive: false });
  let from = null;
  svg.addEventListener("pointerdown", (event) => { from = point(event); });
  svg.addEventListener("pointermove", (event) => {
    if (from === null || event.buttons === 0) return;
    const [x, y] = point(event);
    view.x += from[0] - x;
    view.y += from[1] - y;
    draw();
  });
  svg.addEventListener("pointerup", () => { from = null; });
  document.getElementById("in").addEventListener("click", () => zoom(1 / 1.4));
  document.getElementById("out").addEventListener("click", () => zoom(1.4));
  document.getElementById("reset").addEventListener("click", () => {
    Object.assign(view, start);
    draw();
    svg.querySelectorAll(".dim, .chosen").forEach((element) => element.classList.remove("dim", "chosen"));
    context.value = "";
    search.value = "";
    sure.checked = false;
    filter();
  });
  filter();
  fit();
})();
