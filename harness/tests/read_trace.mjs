// Reads trace events with the trace engine of Chrome's developer tools, and prints as JSON how many
// slices it was given and which it kept: of each its process and its thread by name, its name, its
// microseconds, and the name of the slice that it lies in. The engine leaves out, without a word,
// what does not nest.
import fs from 'node:fs';
import {pathToFileURL} from 'node:url';

const [engine, path] = process.argv.slice(2);
// It is made for a browser, of which it needs this much.
globalThis.DOMRect = class {};
const {TraceModel} = await import(pathToFileURL(engine));

const {traceEvents} = JSON.parse(fs.readFileSync(path, 'utf8'));
const model = TraceModel.Model.createWithAllHandlers();
await model.parse(traceEvents);
const {Meta, Renderer} = model.parsedTrace().data;

const slices = [];
let given = 0;
for (const [pid, {threads}] of Renderer.processes) {
  for (const thread of threads.values()) {
    given += thread.entries.length;
    const walk = (node, parent) => {
      const {name, ts, dur} = node.entry;
      const processName = Meta.processNames.get(pid)?.args.name;
      slices.push({process: processName, thread: thread.name, name, ts, dur, parent});
      node.children.forEach((child) => walk(child, name));
    };
    thread.tree.roots.forEach((root) => walk(root, null));
  }
}
console.log(JSON.stringify({given, slices}));
