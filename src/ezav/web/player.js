// The player: what a visitor gave is played where the answer stands, as a picture or as a sound. A
// file that the browser cannot play is read all the same, and a grey remark says so.
const said = (event) => {
  const player = event.target;
  if (player.tagName !== "VIDEO") return;
  const box = player.closest(".ezav-player");
  if (event.type === "error") box.classList.add("ezav-unplayed");
  else if (!player.videoWidth) box.classList.add("ezav-sounds");
};
element.addEventListener("error", said, true);
element.addEventListener("loadedmetadata", said, true);
