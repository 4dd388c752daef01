// A waveform from peaks. What is still to be played lies behind a cover that moves on: moving it paints nothing.

const BAR = 2;
const GAP = 1;
const FLOOR = 0.02;

export class Waveform {
  #peaks;
  #canvas;
  #cover;

  // loudest: the peak that is as high as the waveform
  constructor(peaks, loudest) {
    this.#peaks = peaks.map((peak) => peak / Math.max(1, loudest));
    this.element = document.createElement("div");
    this.element.className = "wave";
    this.element.setAttribute("aria-hidden", "true");
    this.#canvas = document.createElement("canvas");
    this.#cover = document.createElement("div");
    this.#cover.className = "cover";
    this.element.append(this.#canvas, this.#cover);
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const bars = summarise(this.#peaks, Math.floor((width + GAP) / (BAR + GAP)));
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = getComputedStyle(this.#canvas).color;
    context.beginPath();
    bars.forEach((peak, index) => {
      const bar = Math.max(1.5, Math.max(FLOOR, peak) * height * 0.96);
      context.roundRect(index * (BAR + GAP), (height - bar) / 2, BAR, bar, 1);
    });
    context.fill();
  }

  // share of the song, 0 to 1
  showPlayed(share) {
    this.#cover.style.transform = `translateX(${100 * share}%)`;
  }
}

// the largest peak of each bar
function summarise(peaks, count) {
  const bars = [];
  for (let index = 0; index < count; index++) {
    const from = Math.floor((index * peaks.length) / count);
    const to = Math.max(from + 1, Math.floor(((index + 1) * peaks.length) / count));
    bars.push(Math.max(0, ...peaks.slice(from, to)));
  }
  return bars;
}
