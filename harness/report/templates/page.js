(function () {
  "use strict";

  // Opened from a file, a page has no navigator.clipboard in some browsers.
  function copyOldWay(text) {
    var area = document.createElement("textarea");
    area.className = "copied";
    area.value = text;
    document.body.appendChild(area);
    area.select();
    var copied = false;
    try {
      copied = document.execCommand("copy");
    } catch (error) {}
    area.remove();
    return copied;
  }

  function select(element) {
    element.closest("details").open = true;
    window.getSelection().selectAllChildren(element);
  }

  document.querySelectorAll("button[data-copies]").forEach(function (button) {
    var words = button.textContent;
    var script = document.getElementById(button.dataset.copies);

    function say(copied) {
      if (!copied) select(script);
      button.textContent = copied ? "Copied" : "Press Ctrl+C to copy";
      setTimeout(function () { button.textContent = words; }, 3000);
    }
    function oldWay() { say(copyOldWay(script.textContent)); }

    button.addEventListener("click", function () {
      if (!navigator.clipboard) return oldWay();
      navigator.clipboard.writeText(script.textContent).then(function () { say(true); }, oldWay);
    });
  });
})();
