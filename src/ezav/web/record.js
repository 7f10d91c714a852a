// Record a clip with the camera and the microphone of the visitor.
const part = (id) => document.getElementById(id);

export function record(onClip, complain) {
  let stream = null;
  let recorder = null;
  const over = () => {
    if (recorder?.state === "recording") recorder.stop();
    for (const track of stream?.getTracks() || []) track.stop();
    stream = null;
    part("recording").hidden = true;
  };
  part("camera").addEventListener("click", async () => {
    complain("");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
    } catch (error) {
      complain("The camera and the microphone cannot be used: allow it, and over a network use https.");
      return;
    }
    part("recording").hidden = false;
    part("viewfinder").srcObject = stream;
    part("viewfinder").play();
    part("shutter").focus();
  });
  part("no-camera").addEventListener("click", () => {
    recorder = null;
    over();
  });
  part("shutter").addEventListener("click", () => {
    if (recorder?.state === "recording") {
      recorder.stop();
      return;
    }
    const pieces = [];
    recorder = new MediaRecorder(stream);
    const mine = recorder;
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      part("shutter").textContent = "Start";
      if (mine !== recorder) return; // closed: nothing is wanted
      over();
      const type = mine.mimeType.split(";")[0];
      const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
      onClip(new File(pieces, `recorded-${time}.${type.includes("mp4") ? "mp4" : "webm"}`, { type }));
    };
    recorder.start();
    part("shutter").textContent = "Stop";
  });
}
