// Runs the script of a page without a browser: Node has fetch, and the few elements that the page uses stand here.
// Usage: node examples.js PAGE SERVER RECORD. Prints what the page shows after a click.
const [page, server, record] = process.argv.slice(2);
const script = /<script>([\s\S]*)<\/script>/.exec(require("fs").readFileSync(page, "utf8"))[1];
const elements = { server: { value: server }, record: { value: record }, result: { textContent: "" } };
elements.send = { addEventListener: (event, clicked) => Object.assign(elements.send, { [event]: clicked }) };
globalThis.crypto ??= require("crypto").webcrypto; // Node 18 has it under this name alone
globalThis.document = { getElementById: (id) => elements[id] };
(0, eval)(script);
elements.send.click().then(() => console.log(elements.result.textContent));
