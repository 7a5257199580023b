import { AsyncLocalStorage } from 'node:async_hooks'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

// Runs commands for `command.ts` in one process, because loading the command takes longer than most commands.
// The output of each command, warnings included, is found by its asynchronous context.

const load = (/** @type {string} */ name) => import(pathToFileURL(join(process.argv[2] ?? '', name)).href)
const { run } = await load('program.js')
const { processTerminal } = await load('terminal.js')

/** @type {AsyncLocalStorage<{ stdout: string, stderr: string }>} */
const outputs = new AsyncLocalStorage()
for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
  process[name].write = (text) => {
    const output = outputs.getStore()
    if (output === undefined) throw new Error(`output of no command: ${text}`)
    output[name] += text
    return true
  }
}
// As in main.ts.
process.removeAllListeners('warning')

process.on('message', ({ id, args }) => {
  const output = { stdout: '', stderr: '' }
  outputs
    .run(output, () => run(args, processTerminal()))
    .then((status) => process.send?.({ id, status, ...output }))
})
process.send?.('ready')
