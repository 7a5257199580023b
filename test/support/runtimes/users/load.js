// Loads entries by their names, and prints what each exports.
const names = (globalThis.Deno?.args ?? process.argv.slice(2)).filter((name) => name.startsWith('ajwt'))
const found = {}
for (const name of names) found[name] = Object.keys(await import(name)).length
console.log(JSON.stringify(found))
