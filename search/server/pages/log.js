/** The dialog with a trial's log. It is read again while it is open, since the trial may still print. */

import { fetchJson, setText } from "./shared.js";

const AGAIN_MS = 2000;
const [dialog, title, size, text] = ["log", "log-title", "log-size", "log-text"].map((id) => document.getElementById(id));
let newest = 0;

/** Show the log at an address until the dialog is closed. */
export async function showLog(address, name) {
  const request = ++newest;
  setText(title, name);
  setText(size, "");
  setText(text, "");
  dialog.showModal();
  while (dialog.open && request === newest) {
    await update(address);
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
  }
}

/** Show the present end of the log; go on at its last line if that was in sight. */
async function update(address) {
  const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 8;
  try {
    const log = await fetchJson(address);
    setText(size, log.is_whole ? "" : `The end of ${log.size.toLocaleString("en")} bytes.`);
    setText(text, log.lines.join("\n"));
  } catch (error) {
    setText(size, error.message);
  }
  if (atEnd) text.scrollTop = text.scrollHeight;
}
