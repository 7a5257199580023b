import { register } from 'node:module'

// The command of the conformance suite imports `globSync` of Node 22, for a part that no test here uses.
register(new URL('./node-20-hooks.mjs', import.meta.url))
