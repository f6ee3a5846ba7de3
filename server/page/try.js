// Tries a finished model: an image that is dropped or chosen, a drawing, or a row of a table.

const $ = (id) => document.getElementById(id);
let job = null;
let drawn = false;

const element = (tag, text = "", className = "") => Object.assign(document.createElement(tag), { textContent: text, className });

/** Shows what can be tried of a job; nothing before it has a checkpoint. */
export function offer(shown, checkpoints) {
  const changed = job?.id !== shown.id;
  job = shown;
  const input = shown.model?.input;
  $("try").hidden = !checkpoints.length || !input;
  if (!changed) return;
  const isImage = input?.length === 3;
  $("try-image").hidden = !isImage;
  $("try-row").hidden = isImage;
  $("try-cells").value = input && !isImage ? JSON.stringify(Array(input.reduce((a, b) => a * b, 1)).fill(0)) : "";
  $("answer").replaceChildren();
  clearPad();
}

async function predict(body, type) {
  $("answer").replaceChildren(element("p", "…", "when"));
  const explain = $("try-explain").checked && !$("try-image").hidden ? "?explain=gradients" : "";
  const answer = await fetch(`/v1/jobs/${job.id}/predict${explain}`, { method: "POST", headers: { "Content-Type": type }, body });
  const found = await answer.json();
  if (!answer.ok) $("answer").replaceChildren(element("p", found.detail, "bad"));
  else $("answer").replaceChildren(...shownAnswer(found.data[0]));
}

function shownAnswer(found) {
  const parts = [];
  const likely = Object.entries(found.probabilities ?? {}).sort(([, p], [, q]) => q - p).slice(0, 10); // objects have names like "7" first
  parts.push(...likely.map(([name, p]) => bar(name, p)));
  if (found.numbers !== undefined) parts.push(element("output", JSON.stringify(found.numbers)));
  for (const [key, text] of [["mask_png", "classes by place"], ["saliency_png", "where the model looked"]]) {
    if (!found[key]) continue;
    const figure = document.createElement("figure");
    const image = Object.assign(new Image(), { src: `data:image/png;base64,${found[key]}`, alt: text });
    figure.append(image, element("figcaption", text));
    parts.push(figure);
  }
  return parts;
}

function bar(name, p) {
  const row = element("div", "", "bar");
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: p });
  row.append(element("span", name, "name"), meter, element("span", `${(100 * p).toFixed(1)}%`));
  return row;
}

// -- an image

const zone = $("drop");
zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("over"); };
zone.ondragleave = () => zone.classList.remove("over");
zone.ondrop = (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  if (event.dataTransfer.files.length) predict(event.dataTransfer.files[0], "application/octet-stream");
};
$("try-file").onchange = (event) => { if (event.target.files.length) predict(event.target.files[0], "application/octet-stream"); };

// -- a drawing, white on black, as most digits are

const pad = $("pad");
const pen = pad.getContext("2d", { willReadFrequently: true });

function clearPad() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, pad.width, pad.height);
  drawn = false;
}

function stroke(event) {
  if (!event.buttons) return;
  const scale = pad.width / pad.clientWidth;
  pen.strokeStyle = "white";
  pen.lineWidth = pad.width / 10;
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo((event.offsetX - event.movementX) * scale, (event.offsetY - event.movementY) * scale);
  pen.lineTo(event.offsetX * scale, event.offsetY * scale);
  pen.stroke();
  drawn = true;
}

pad.onpointermove = stroke;
pad.onpointerup = () => { if (drawn) sendDrawing(); };
$("pad-clear").onclick = () => { clearPad(); $("answer").replaceChildren(); };

function sendDrawing() {
  const [, height, width] = job.model.input;
  const small = Object.assign(document.createElement("canvas"), { width, height });
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(pad, 0, 0, width, height);
  small.toBlob((blob) => predict(blob, "image/png"), "image/png");
}

// -- a row

$("try-row").onsubmit = (event) => {
  event.preventDefault();
  predict(`{"inputs": [${$("try-cells").value}]}`, "application/json");
};
