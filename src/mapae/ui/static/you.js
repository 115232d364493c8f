// A visitor's own portrait: nothing is sent before consent, the camera is off as soon as it is not looked through, and the only
// picture kept is the one that was confirmed. Pictures are cut to the frame of a card and written anew, so nothing a camera writes
// beside the pixels leaves the device.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const WIDTH = 480;
  const HEIGHT = 640;
  const LOOK_MS = 2000;
  const part = (name) => document.getElementById(`you-${name}`);
  const video = part("video");
  const canvas = document.createElement("canvas");
  let stream = null;
  let timer = 0;
  let taken = null;

  const show = (stage, focus) => {
    for (const one of ["start", "frame", "look", "done"]) part(one).hidden = one !== stage;
    document.getElementById("you").dataset.stage = stage;
    part("trouble").hidden = true;
    if (focus) focus.focus();
  };
  const trouble = (kind) => {
    part("trouble").textContent = part("trouble").dataset[kind];
    part("trouble").hidden = false;
  };
  const stop = () => {
    clearTimeout(timer);
    for (const track of stream ? stream.getTracks() : []) track.stop();
    stream = null;
    video.srcObject = null;
  };

  /** The middle of whatever is drawn, in the shape of a card's portrait, as JPEG. */
  const cut = (source, width, height) => {
    const scale = Math.max(WIDTH / width, HEIGHT / height);
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const pen = canvas.getContext("2d");
    pen.drawImage(source, (WIDTH - width * scale) / 2, (HEIGHT - height * scale) / 2, width * scale, height * scale);
    return new Promise((resume) => canvas.toBlob(resume, "image/jpeg", 0.9));
  };
  const send = async (path, blob) => {
    const answer = await fetch(`/demo/you/${path}`, { method: "POST", headers: { "Content-Type": "image/jpeg" }, body: blob });
    const said = await answer.json();
    if (!answer.ok) throw said;
    return said;
  };
  const failed = (error) => trouble(error && error.error === "face_unavailable" ? "unavailable" : "failed");

  const hint = async () => {
    if (!stream) return;
    if (video.videoWidth && !document.hidden) {
      try {
        const said = await send("judge", await cut(video, video.videoWidth, video.videoHeight));
        if (stream) part("hint").textContent = said.findings.length ? said.findings[0].words : part("verdict").dataset.good;
      } catch (error) {
        if (error && error.error === "face_unavailable") return failed(error);
      }
    }
    timer = setTimeout(hint, LOOK_MS);
  };
  const start = async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } } });
    } catch {
      return trouble("noCamera");
    }
    video.srcObject = stream;
    await video.play().catch(() => undefined);
    show("frame", document.getElementById("frame-title"));
    part("hint").textContent = "";
    timer = setTimeout(hint, 600);
  };

  const look = async (blob) => {
    taken = blob;
    show("look");
    part("use").hidden = true;
    part("picture").hidden = true;
    part("findings").replaceChildren();
    part("verdict").textContent = part("verdict").dataset.busy;
    try {
      const said = await send("judge", blob);
      const words = part("verdict").dataset;
      part("verdict").textContent = said.ok ? words.good : said.usable ? words.advice : words.bad;
      part("findings").replaceChildren(...said.findings.map((one) => {
        const item = document.createElement("li");
        item.textContent = one.words;
        item.dataset.code = one.code;
        return item;
      }));
      if (said.picture) {
        part("picture").src = `data:image/jpeg;base64,${said.picture}`;
        part("picture").hidden = false;
      }
      part("use").hidden = !said.usable;
      part("verdict").focus();
    } catch (error) {
      show("start");
      failed(error);
    }
  };

  part("agree").addEventListener("click", start);
  part("stop").addEventListener("click", () => {
    stop();
    show("start", part("agree"));
  });
  part("take").addEventListener("click", async () => {
    const blob = await cut(video, video.videoWidth, video.videoHeight);
    stop();
    await look(blob);
  });
  part("file").addEventListener("change", async (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    if (!file) return;
    try {
      const picture = await createImageBitmap(file); // turned upright as the file says
      await look(await cut(picture, picture.width, picture.height));
    } catch {
      trouble("failed");
    }
  });
  part("again").addEventListener("click", () => {
    taken = null;
    show("start");
    start();
  });
  part("use").addEventListener("click", async () => {
    part("use").disabled = true;
    try {
      await send("photo", taken);
      taken = null;
      part("picture").removeAttribute("src");
      part("own").hidden = false;
      part("drawn").hidden = part("removed").hidden = true;
      part("remove-part").hidden = false;
      show("done");
    } catch (error) {
      failed(error);
    }
    part("use").disabled = false;
  });
  part("remove").addEventListener("click", async () => {
    const answer = await fetch("/demo/you/remove", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" }).catch(() => null);
    if (!answer || !answer.ok) return trouble("failed");
    part("own").hidden = part("remove-part").hidden = true;
    part("drawn").hidden = part("removed").hidden = false;
    show("start");
  });
  addEventListener("pagehide", stop);
});
