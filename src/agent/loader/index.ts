import { Buffer } from 'node:buffer'
import { writeSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { loadedCode, publishLoadedCode } from '../code/loaded-code.js'
import { recordCommonJs } from './commonjs.js'
import { createModules, placeOf } from './modules.js'

/**
 * `node --import ajwt/agent/loader agent.js` hashes each module as it is loaded, so that `code: { digest }`
 * of an agent can be compared before each request.
 */

const modules = createModules()

/** The file descriptor of `ajwt checksum --code`, which waits for the digest. */
const descriptor = Number(process.env.AJWT_CODE_DIGEST_FD)

/** Takes what the hooks thread has sent. */
let receive = () => {}

/**
 * CommonJS without a source is recorded where it is compiled. With one, of another hook, that never happens.
 */
function record(url: string, { format, source }: Loaded): void {
  const content = source instanceof ArrayBuffer ? new Uint8Array(source) : source
  if (typeof content !== 'string' && !(content instanceof Uint8Array)) return
  modules.record(placeOf(url), format === 'commonjs' ? withoutMark(content) : content)
}

/** Node compiles CommonJS without a byte order mark. */
function withoutMark(content: string | Uint8Array): string {
  return (typeof content === 'string' ? content : Buffer.from(content).toString()).replace(/^\uFEFF/, '')
}

/** Node 22.15 and later run hooks in the thread of the modules. The types are those of Node 20. */
const registerHooks: ((hooks: { load: SyncLoadHook }) => void) | undefined = Reflect.get(
  nodeModule,
  'registerHooks',
)

type Loaded = { readonly format: string; readonly source?: unknown }
type SyncLoadHook = (
  url: string,
  context: object,
  nextLoad: (url: string, context: object) => Loaded,
) => Loaded

/** The first loader of a process counts: `import` and `require()` load one each. */
if (loadedCode() === undefined) {
  recordCommonJs(modules)
  if (registerHooks === undefined) recordInThread()
  else registerHooks({ load: recordLoaded })
  publishLoadedCode({ digest, latest, announce, isMeasuring: descriptor > 0 })
}

function recordLoaded(...[url, context, nextLoad]: Parameters<SyncLoadHook>): Loaded {
  const result = nextLoad(url, context)
  record(url, result)
  return result
}

/** Node 20 runs hooks in a thread. A source is sent before its module can run. */
function recordInThread(): void {
  const { port1, port2 } = new MessageChannel()
  receive = () => {
    for (let message = receiveMessageOnPort(port1); message; message = receiveMessageOnPort(port1))
      record(message.message.url, message.message.loaded)
  }
  nodeModule.register(new URL('./load-hook.js', import.meta.url), {
    data: { port: port2 },
    transferList: [port2],
  })
  port1.unref()
}

function digest(): string {
  receive()
  return modules.digest()
}

function latest(): readonly string[] {
  receive()
  return modules.latest()
}

function announce(): void {
  if (!(descriptor > 0)) return
  writeSync(descriptor, digest())
  process.exit(0)
}

/**
 * The digest of all modules that this process has loaded: `sha256:` and 64 lower-case hex digits. It changes
 * with each module that is loaded later.
 */
export function codeDigest(): string {
  return loadedCode()?.digest() ?? digest()
}
