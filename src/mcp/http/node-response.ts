import type { Answer } from '../../decision.js'
import { sharedInProcess } from '../../lib/copies.js'
import { isPromiseLike, type MaybePromise } from '../../lib/promise.js'
import { type BodyFilter, concat, isAnswer, type ResponseFilter } from './response-filter.js'

type Method = (...values: never[]) => unknown

/** The parts of Node's `ServerResponse`, of HTTP/1 and HTTP/2, that a filter uses. */
export interface NodeResponse {
  statusCode: number
  statusMessage: string
  readonly headersSent: boolean
  readonly writableEnded: boolean
  readonly destroyed: boolean
  getHeader(name: string): unknown
  getHeaderNames(): string[]
  setHeader(name: string, value: string): unknown
  removeHeader(name: string): unknown
  emit(event: string): unknown
  once(event: string, listener: () => void): unknown
  destroy(): unknown
  writeHead: Method
  write: Method
  end: Method
  flushHeaders: Method
}

export function isNodeResponse(value: unknown): value is NodeResponse {
  const { writeHead, write, end, getHeaderNames }: Partial<Record<string, unknown>> = Object(value)
  return [writeHead, write, end, getHeaderNames].every((member) => typeof member === 'function')
}

/** `whole`: parts are collected. `closed`: the response is complete, whatever the app still writes. */
type State = 'head' | 'open' | 'parts' | 'whole' | 'closed'

interface Part {
  readonly bytes: Uint8Array
  /** As the app wrote it. */
  readonly values: readonly unknown[]
}

/**
 * Shows a response to a filter before it is sent. Replaces the methods of the object that write. While the
 * filter waits, such as for a store, the app's calls are queued.
 */
export function filterNodeResponse(res: NodeResponse, filter: ResponseFilter): void {
  const { writeHead, write, end, flushHeaders } = res
  let state: State = 'head'
  let headValues: readonly unknown[] = []
  let body: BodyFilter | undefined
  let isWaiting = false
  let isBackedUp = false
  let needsDrain = false
  let isOver = false
  let isUnclosed = false
  res.once('close', close)
  const calls = callsOf(res)
  calls.filters += 1
  const level = calls.filters
  const queue: (() => MaybePromise<void>)[] = []
  const collected: Part[] = []

  function forward(method: Method, values: readonly unknown[]): unknown {
    const before = calls.level
    calls.level = level
    try {
      return Reflect.apply(method, res, values)
    } finally {
      calls.level = before
    }
  }

  /** Runs the calls of the app one after the other. */
  function run(call: () => MaybePromise<void>): void {
    if (isWaiting) return void queue.push(call)
    const result = call()
    if (!isPromiseLike(result)) return
    isWaiting = true
    result.then(proceed, fail)
  }

  function proceed(): void {
    isWaiting = false
    while (!isWaiting) {
      const call = queue.shift()
      if (call === undefined) break
      run(call)
    }
    if (isWaiting || !needsDrain) return
    needsDrain = false
    // Else Node emits it.
    if (isBackedUp) return
    res.emit('drain')
  }

  /** A filter does not reject. Should it, nothing more is sent. */
  function fail(): void {
    state = 'closed'
    queue.length = 0
    isWaiting = false
    res.destroy()
  }

  function close(): void {
    isOver = true
    if (!isUnclosed) return
    isUnclosed = false
    filter.closed?.()
  }

  /** Asks the filter once, when the app first writes. */
  function decideHead(values: readonly unknown[]): MaybePromise<void> {
    if (state !== 'head') return
    headValues = values
    const status = typeof values[0] === 'number' ? values[0] : res.statusCode
    const action = filter.head({ status, field: (name) => fieldOf(res, values, name) }, cut)
    isUnclosed = true
    // The client has gone before the app wrote anything: there is no other event.
    if (isOver || res.destroyed) close()
    return isPromiseLike(action) ? action.then(applyAction) : applyAction(action)
  }

  function applyAction(action: Answer | BodyFilter | undefined): void {
    // The client may have gone, or the stream may have been cut, while the filter waited.
    if (state === 'closed') return
    if (action !== undefined && isAnswer(action)) return void sendAnswer(action)
    body = action
    state = action?.kind ?? 'open'
    if (state !== 'whole') forwardHead()
  }

  function forwardHead(): void {
    if (headValues.length > 0) forward(writeHead, headValues)
  }

  /** Only the fields that let a browser read the answer are kept of the app's response. */
  function sendAnswer({ status, headers, body: text }: Answer): void {
    state = 'closed'
    for (const name of res.getHeaderNames()) {
      if (!/^(access-control-|vary$)/i.test(name)) res.removeHeader(name)
    }
    res.statusCode = status
    // Of the app's own status. HTTP/2 has none.
    if (Object.hasOwn(res, 'statusMessage')) res.statusMessage = ''
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    forward(end, [text])
  }

  function cut(last?: Uint8Array): void {
    if (state === 'closed') return
    state = 'closed'
    queue.length = 0
    if (last !== undefined) forward(write, [last])
    forward(end, [])
  }

  function writePart(values: readonly unknown[]): MaybePromise<void> {
    if (state === 'closed') return callbackOf(values)?.()
    const bytes = bytesOf(values)
    if (state === 'whole') {
      collected.push({ bytes, values: values.filter((value) => typeof value !== 'function') })
      return callbackOf(values)?.()
    }
    if (body?.kind !== 'parts' || bytes.length === 0) return send(values)
    const isAllowed = body.check(bytes)
    const decide = (isSent: boolean): void => (isSent ? send(values) : cut())
    return isPromiseLike(isAllowed) ? isAllowed.then(decide) : decide(isAllowed)
  }

  function send(values: readonly unknown[]): void {
    if (state !== 'closed') isBackedUp = forward(write, values) === false
  }

  function endBody(values: readonly unknown[]): MaybePromise<void> {
    if (state === 'closed') return callbackOf(values)?.()
    const hasPart = isPart(values[0])
    if (body?.kind === 'whole') return endWhole(body, values)
    if (!hasPart || body === undefined) return finish(values)
    const written = writePart(values.filter((value) => typeof value !== 'function'))
    const rest = values.filter((value) => typeof value === 'function')
    return isPromiseLike(written) ? written.then(() => finish(rest)) : finish(rest)
  }

  function finish(values: readonly unknown[]): void {
    if (state === 'closed') return void callbackOf(values)?.()
    state = 'closed'
    forward(end, values)
  }

  function endWhole(
    whole: Extract<BodyFilter, { kind: 'whole' }>,
    values: readonly unknown[],
  ): MaybePromise<void> {
    const parts = [...collected.map(({ bytes }) => bytes), bytesOf(values)]
    const action = whole.check(concat(parts))
    const decide = (answer: Answer | undefined): void => {
      if (answer !== undefined) {
        sendAnswer(answer)
        return void callbackOf(values)?.()
      }
      forwardHead()
      for (const part of collected) forward(write, part.values)
      finish(values)
    }
    return isPromiseLike(action) ? action.then(decide) : decide(action)
  }

  /** Runs a call of the app that sends the head first. */
  function runAfterHead(call: () => MaybePromise<void>): void {
    run(() => {
      const head = decideHead([])
      return isPromiseLike(head) ? head.then(call) : call()
    })
  }

  function take(method: Method, handle: (values: readonly unknown[]) => unknown): Method {
    return (...values: readonly unknown[]) =>
      calls.level <= level ? Reflect.apply(method, res, values) : handle(values)
  }

  res.writeHead = take(writeHead, (values) => {
    run(() => decideHead(values))
    return res
  })
  res.flushHeaders = take(flushHeaders, () => {
    runAfterHead(() => {
      if (state === 'open' || state === 'parts') forward(flushHeaders, [])
    })
  })
  res.write = take(write, (values) => {
    runAfterHead(() => writePart(values))
    needsDrain ||= isWaiting
    return !isWaiting && !isBackedUp
  })
  res.end = take(end, (values) => {
    runAfterHead(() => endBody(values))
    return res
  })
}

/**
 * Node's methods call each other: `end` calls the `writeHead` of the outermost filter. `level` is that of the
 * filter whose call is running, else Infinity, so that outer filters can tell such calls from those of the
 * app.
 */
const callsByResponse = sharedInProcess('filtered responses', () => new WeakMap<object, FilteredCalls>())

interface FilteredCalls {
  filters: number
  level: number
}

function callsOf(res: NodeResponse): FilteredCalls {
  const calls = callsByResponse.get(res) ?? { filters: 0, level: Number.POSITIVE_INFINITY }
  callsByResponse.set(res, calls)
  return calls
}

function callbackOf(values: readonly unknown[]): (() => void) | undefined {
  const callback = values.find((value) => typeof value === 'function')
  return callback && (() => Reflect.apply(callback, undefined, []))
}

function isPart(value: unknown): boolean {
  return typeof value === 'string' || value instanceof Uint8Array
}

function bytesOf([part]: readonly unknown[]): Uint8Array {
  if (part instanceof Uint8Array) return part
  return typeof part === 'string' ? new TextEncoder().encode(part) : new Uint8Array()
}

/** A field of `writeHead(status, message?, fields?)` wins over one of `setHeader`. */
function fieldOf(res: NodeResponse, values: readonly unknown[], name: string): string | undefined {
  const given = values.find((value) => typeof value === 'object' && value !== null)
  const pairs: [unknown, unknown][] = Array.isArray(given) ? toPairs(given) : Object.entries(given ?? {})
  const found = pairs.filter(([key]) => String(key).toLowerCase() === name).map(([, value]) => value)
  const value = found.length > 0 ? found : res.getHeader(name)
  return value === undefined ? undefined : String(value)
}

/** Node takes a flat list and a list of pairs. */
function toPairs(list: readonly unknown[]): [unknown, unknown][] {
  if (Array.isArray(list[0])) return list.map((pair) => [Object(pair)[0], Object(pair)[1]])
  return list.flatMap((value, at): [unknown, unknown][] => (at % 2 === 1 ? [[list[at - 1], value]] : []))
}
