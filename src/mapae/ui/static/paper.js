// Reads the code of a paper with the camera and sends it; the page works without it. No picture is kept or sent.
"use strict";

const PAUSE_MS = 120;
const WIDEST = 1440; // the code has 113 modules a side: more picture than the wallet needs

function load(scan) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = scan.dataset.reader;
    script.onload = () => {
      const reader = globalThis.ZXingWASM;
      reader.prepareZXingModule({ overrides: { locateFile: (path, prefix) => (path.endsWith(".wasm") ? scan.dataset.wasm : prefix + path) } });
      resolve(reader.readBarcodes);
    };
    script.onerror = reject;
    document.head.append(script);
  });
}

async function look(read, video) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  while (video.isConnected) {
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
      const scale = Math.min(1, WIDEST / video.videoWidth);
      canvas.width = Math.round(video.videoWidth * scale);
      canvas.height = Math.round(video.videoHeight * scale);
      pen.drawImage(video, 0, 0, canvas.width, canvas.height);
      const found = await read(pen.getImageData(0, 0, canvas.width, canvas.height), { formats: ["QRCode"], maxNumberOfSymbols: 1, tryHarder: true }).catch(() => []);
      if (found[0] && found[0].isValid) return found[0].text;
    }
    await new Promise((resume) => setTimeout(resume, PAUSE_MS));
  }
  return "";
}

async function start(scan) {
  const state = document.getElementById("scan-state");
  const video = document.getElementById("video");
  const finder = document.getElementById("finder");
  const camera = document.getElementById("camera");
  camera.disabled = true;
  let stream = null;
  const stop = () => {
    for (const track of stream ? stream.getTracks() : []) track.stop();
    finder.hidden = true;
  };
  addEventListener("pagehide", stop);
  try {
    const reader = load(scan); // while the camera is asked for
    reader.catch(() => undefined);
    stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: "environment" }, width: { ideal: 1920 }, height: { ideal: 1080 } } });
    const read = await reader;
    finder.hidden = false;
    video.srcObject = stream;
    await video.play();
    state.textContent = state.dataset.looking;
    const text = await look(read, video);
    stop();
    if (text) {
      state.textContent = state.dataset.found;
      const field = document.getElementById("code");
      field.value = text;
      field.form.requestSubmit();
    }
  } catch {
    stop();
    camera.disabled = false;
    state.textContent = state.dataset.denied;
  }
}

// A name does not stay on a screen that nobody looks at, unless whoever checks says so.
function leaveLater(timer) {
  const leaving = setTimeout(() => location.replace(timer.dataset.to), Number(timer.dataset.leave) * 1000);
  const keep = document.getElementById("keep");
  keep.hidden = false;
  keep.addEventListener("click", () => {
    clearTimeout(leaving);
    timer.hidden = keep.hidden = true;
  });
}

document.addEventListener("DOMContentLoaded", () => {
  const timer = document.querySelector("[data-leave]");
  if (timer) leaveLater(timer);
  const scan = document.getElementById("scan");
  if (!scan || !navigator.mediaDevices) return;
  scan.hidden = false;
  document.getElementById("camera").addEventListener("click", () => void start(scan));
});
