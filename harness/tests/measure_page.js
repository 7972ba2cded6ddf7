// Put into a copy of a report by the test that drives a browser: measures what is laid out, and writes it into the page as JSON.
addEventListener("load", () => {
  const round = (box) => [box.left, box.top, box.right, box.bottom].map((n) => Math.round(n * 10) / 10);
  const figures = [...document.querySelectorAll("figure")].map((figure) => {
    const svg = figure.querySelector(":scope > svg");
    return {
      title: figure.querySelector("h3").textContent,
      box: round(svg.getBoundingClientRect()),
      marks: svg.querySelectorAll(".mark, .curve, .companion, .bar").length,
      textSize: Math.min(...[...svg.querySelectorAll("text")].map((text) => text.getBoundingClientRect().height)),
      texts: [...svg.querySelectorAll("text")].map((text) => ({
        text: text.firstChild.textContent,
        box: round(text.getBoundingClientRect()),
      })),
      caption: figure.querySelector("figcaption").textContent,
    };
  });
  const measured = {
    width: innerWidth,
    contentWidth: document.documentElement.scrollWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    background: getComputedStyle(document.body).backgroundColor,
    figures,
  };
  const escaped = JSON.stringify(measured).replace(/[<>&]/g, (c) => "\\u00" + c.charCodeAt(0).toString(16));
  // In a frame, which is how a browser is made narrower than its window can be, the page around it is told.
  const tell = (text) => {
    document.body.innerHTML = "<pre id=measured></pre>";
    document.getElementById("measured").textContent = text;
  };
  if (parent === window) tell(escaped);
  else parent.postMessage(escaped, "*");
});
