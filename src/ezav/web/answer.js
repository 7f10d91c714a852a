// A screen reader tells the answer when it comes, and where it is out of sight (on a phone it
// stands below the questions) the page goes there, to the clip above it.
element.setAttribute("aria-live", "polite");
watch("value", () => {
  const found = element.querySelector(".ezav-ranked, .ezav-message");
  if (!found) return;
  const { top } = found.getBoundingClientRect();
  if (top < 0 || top > 0.6 * window.innerHeight) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const clip = document.querySelector("#ezav-player .ezav-player") || found;
    clip.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
  }
});
