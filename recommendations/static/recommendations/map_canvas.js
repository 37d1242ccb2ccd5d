// Tracks as dots on a canvas: where one looks from, what is lit, and which dot is near.

const REACH = 12; // pixels from the pointer to the dot it means
const LABELS = 12; // of found tracks; more would cover each other

export class Drawing {
  #view = { zoom: 1, x: 0, y: 0 };
  #lit = { tag: undefined, circled: [], pointed: null };
  #asked = 0;

  /** tracks: each with `at`, from -1 to 1, most popular first; tags: those that have a colour, in its order. */
  constructor(canvas, tracks, tags) {
    this.canvas = canvas;
    const most = Math.max(...tracks.map(({ listeners }) => listeners), 1);
    this.dots = tracks.map((track) => ({
      track,
      tag: tags.includes(track.tag) ? tags.indexOf(track.tag) : null,
      radius: 2 + 3.5 * Math.sqrt(track.listeners / most),
    })).reverse();
    new ResizeObserver(() => this.#draw()).observe(canvas);
    new MutationObserver(() => this.#draw()).observe(document.documentElement, { attributeFilter: ["class"] });
  }

  only(tag) { this.#lit.tag = tag; this.#soon(); }
  circle(tracks) { this.#lit.circled = tracks; this.#soon(); }
  point(track) { if (track !== this.#lit.pointed) { this.#lit.pointed = track; this.#soon(); } }
  whole() { this.#view = { zoom: 1, x: 0, y: 0 }; this.#soon(); }
  move(x, y) { this.#view.x += x; this.#view.y += y; this.#soon(); }

  /** Closer by `factor`; what lies at the given place of the canvas, else in its middle, stays there. */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const view = this.#view;
    const zoom = Math.min(60, Math.max(0.5, view.zoom * factor));
    const [dx, dy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    view.x = dx - ((dx - view.x) * zoom) / view.zoom;
    view.y = dy - ((dy - view.y) * zoom) / view.zoom;
    view.zoom = zoom;
    this.#soon();
  }

  nearest(x, y) {
    let [best, least] = [null, REACH];
    for (const dot of this.dots) {
      if (!this.#isLit(dot)) continue;
      const [dotX, dotY] = this.#place(dot.track);
      const distance = Math.hypot(dotX - x, dotY - y);
      if (distance <= least) [best, least] = [dot.track, distance];
    }
    return best;
  }

  #isLit({ tag }) { return this.#lit.tag === undefined || this.#lit.tag === tag; }

  #place({ at: [x, y] }) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const unit = (Math.min(width, height) / 2 - 16) * this.#view.zoom;
    return [width / 2 + this.#view.x + x * unit, height / 2 + this.#view.y - y * unit];
  }

  /** Once for each picture of the screen, however often it is asked for. */
  #soon() {
    this.#asked ||= requestAnimationFrame(() => { this.#asked = 0; this.#draw(); });
  }

  #draw() {
    const { canvas } = this;
    const sharp = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * sharp;
    canvas.height = canvas.clientHeight * sharp;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    const style = getComputedStyle(canvas);
    const colours = Array.from({ length: 10 }, (_, n) => style.getPropertyValue(`--tag-${n}`));
    const [rest, ink, ground] = ["--tag-rest", "--q-strong", "--q-ground"].map((name) => style.getPropertyValue(name));
    const closer = Math.min(2.5, Math.sqrt(this.#view.zoom));
    const dimmed = this.dots.filter((dot) => !this.#isLit(dot));
    const lit = this.dots.filter((dot) => this.#isLit(dot));
    for (const dot of [...dimmed, ...lit.filter(({ tag }) => tag === null), ...lit.filter(({ tag }) => tag !== null)]) {
      pen.globalAlpha = !this.#isLit(dot) ? 0.1 : dot.tag === null ? 0.45 : 0.8;
      pen.fillStyle = dot.tag === null ? rest : colours[dot.tag];
      disc(pen, this.#place(dot.track), dot.radius * closer);
      pen.fill();
    }
    pen.globalAlpha = 1;
    this.#drawLit(pen, ink, ground);
  }

  #drawLit(pen, ink, ground) {
    const { circled, pointed } = this.#lit;
    Object.assign(pen, { strokeStyle: ink, fillStyle: ink, lineWidth: 1.5, lineJoin: "round", font: "500 12px Inter, sans-serif" });
    for (const track of pointed ? [...circled, pointed] : circled) {
      disc(pen, this.#place(track), track === pointed ? 8 : 6);
      pen.stroke();
    }
    for (const track of circled.length > LABELS ? [] : circled) {
      const [x, y] = this.#place(track);
      Object.assign(pen, { strokeStyle: ground, lineWidth: 4 });
      pen.strokeText(track.title, x + 12, y + 4);
      pen.fillText(track.title, x + 12, y + 4);
    }
  }
}

function disc(pen, [x, y], radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
}
