#!/usr/bin/env node
import { run } from './program.js'
import { processTerminal } from './terminal.js'

// The process warnings of a verifier are for servers. A command has its own messages.
process.removeAllListeners('warning')
// A reader such as `head` closes the pipe early. That is no error.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') process.exit()
})
process.exitCode = await run(process.argv.slice(2), processTerminal())
