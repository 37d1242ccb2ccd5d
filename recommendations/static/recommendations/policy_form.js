// The form of a policy: sliders beside the dials, and a preview that follows each change. The server renders it.

import { el } from "./dom.js";

const form = document.getElementById("policy-form");
const preview = document.getElementById("policy-preview");
const subject = document.getElementById("id_subject");
const WAIT_MS = 300; // after the last change of several in a row
let timer = 0;
let running = new AbortController();

for (const input of form.querySelectorAll("input[data-slider]")) input.after(slider(input));
if (subject) {
  form.addEventListener("input", () => refresh(WAIT_MS));
  document.getElementById("refresh-preview").addEventListener("click", () => refresh(0));
  subject.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would save the form
    refresh(0);
  });
  preview.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-subject]");
    if (!choice) return;
    subject.value = choice.dataset.subject;
    refresh(0);
  });
  if (subject.value) refresh(0);
}

/** Return a slider that moves with a number field and the field with it. */
function slider(input) {
  const range = el("input", { type: "range", min: input.min, max: input.max, step: 0.01, value: input.value, "aria-label": `${input.labels[0].textContent}, slider` });
  range.addEventListener("input", () => { input.value = range.value; });
  input.addEventListener("input", () => { range.value = input.value; });
  return range;
}

function refresh(waitMs) {
  clearTimeout(timer);
  timer = setTimeout(load, waitMs);
}

async function load() {
  running.abort(); // an earlier answer must not replace this one
  running = new AbortController();
  if (!subject.value.trim()) return;
  preview.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.dataset.previewUrl, { method: "POST", body: new FormData(form), signal: running.signal });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    preview.innerHTML = await response.text(); // rendered by a template, which escapes titles and names
  } catch (error) {
    if (error.name === "AbortError") return;
    preview.replaceChildren(el("p", { class: "policy-error" }, `There is no preview: ${error.message}`));
  }
  preview.removeAttribute("aria-busy");
}
