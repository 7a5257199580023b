import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

// Node.js reads `imports` from the nearest package.json (PACKAGE_IMPORTS_RESOLVE): the compiled one.
// The tests of the packed package load every entry through it.
const { messages, pkg } = await publint({ pkgDir: '.', strict: true })
const faults = messages.filter(
  ({ code, args }) => !(code === 'NESTED_PACKAGE_JSON_FIELD_IGNORED' && args.field === 'imports'),
)
for (const fault of faults) console.error(formatMessage(fault, pkg))
console.log(`publint: ${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1
