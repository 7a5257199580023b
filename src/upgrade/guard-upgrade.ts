import { readInterval, type WatchOptions, watchCredentials } from '../connection/watch-credentials.js'
import type { Decision, Grant } from '../decision.js'
import type { Engine } from '../engine.js'
import { describe, Refusal } from '../refusal.js'
import { fieldsOf } from '../request/request.js'
import { consumedBy } from '../stores/memory/shared-replay.js'
import { engineOf, isVerifier, type Verifier } from '../verifier.js'
import { findOddity, type HandshakeRequest } from './handshake.js'
import { answerHandshake, closeWebSocket, type UpgradeSocket } from './raw-socket.js'

/** A server of `node:http` or `node:https`. */
export interface UpgradeServer {
  emit(event: string, ...values: unknown[]): boolean
  address(): unknown
  listen(...values: unknown[]): unknown
}

/** The request of an upgrade, as the listeners of `upgrade` and `connection` get it. */
export interface UpgradeRequest extends HandshakeRequest {
  /**
   * Who calls, and with what right. Absent on a public route, for an anonymous request and an observed
   * denial.
   */
  ajwt?: Grant
}

export type UpgradeOptions = WatchOptions

export interface UpgradeGuard {
  /**
   * The decision on an upgrade, for `verifier.check`. Throws a TypeError for a request that this guard has
   * not let through.
   */
  decisionOf(request: object): Decision
}

/**
 * Lets the upgrades through that the policy allows, and puts the verified grant on `request.ajwt`. No
 * `upgrade` listener sees a denied one, whenever it was added. Ends a socket with Close code 1008 (RFC 6455
 * section 7.4.1) once its token has expired or is revoked. Throws a TypeError where server or verifier is
 * none, and a PolicyError where an option is wrong.
 */
export function guardUpgrade(
  server: UpgradeServer,
  verifier: Verifier,
  options: UpgradeOptions = {},
): UpgradeGuard {
  checkServer(server)
  if (!isVerifier(verifier))
    throw new TypeError('guardUpgrade takes a verifier as its second argument: createVerifier(policy)')
  const interval = readInterval(options)
  const decisions = new WeakMap<object, Decision>()
  const isAnswering = interceptUpgrades(server, admit)

  async function admit(request: UpgradeRequest, socket: UpgradeSocket, passOn: () => boolean): Promise<void> {
    // An error that nobody listens to ends the process.
    socket.on('error', () => {})
    // Node hands over a pipelined upgrade before earlier responses are written: a denial would be taken for
    // one of them.
    if (isAnswering(socket)) return void socket.destroy()
    delete request.ajwt
    // Looked up for each request: `update` replaces it.
    const engine = engineOf(verifier)
    const decision = await decideUpgrade(engine, request)
    if (socket.destroyed || !socket.writable) return void socket.destroy()
    if (decision.outcome === 'deny') return answerHandshake(socket, decision)
    decisions.set(request, decision)
    if (decision.outcome === 'allow') {
      request.ajwt = decision.grant
      watch(engine, decision, socket, interval)
    }
    let isTaken = false
    try {
      isTaken = passOn()
    } finally {
      if (!isTaken) socket.destroy()
    }
  }

  return {
    decisionOf(request) {
      const decision = decisions.get(request)
      if (decision !== undefined) return decision
      throw new TypeError(
        'decisionOf takes the request of an upgrade that this guard has let through: the object that the listeners of ' +
          'upgrade and connection get',
      )
    },
  }
}

type Admit = (request: UpgradeRequest, socket: UpgradeSocket, passOn: () => boolean) => Promise<void>

const requestEvents: ReadonlySet<string> = new Set(['request', 'checkContinue', 'checkExpectation'])

/**
 * Takes the place of the server's `emit`: a listener of the guard's own could not hold back the others. Tells
 * whether a response on a socket is not finished yet.
 */
function interceptUpgrades(server: UpgradeServer, admit: Admit): (socket: object) => boolean {
  const ownEmit = Object.hasOwn(server, 'emit') ? server.emit : undefined
  // Weak, so that an idle connection keeps no request alive: Node holds a response until it is finished.
  const responses = new WeakMap<object, WeakRef<{ readonly writableFinished?: boolean }>>()
  const emit = (event: string, values: unknown[]): boolean =>
    Reflect.apply(ownEmit ?? Object.getPrototypeOf(server).emit, server, [event, ...values])

  server.emit = function emitGuarded(event: string, ...values: unknown[]): boolean {
    if (event === 'upgrade') {
      const [request, socket] = values as [UpgradeRequest, UpgradeSocket]
      void admit(request, socket, () => emit(event, values))
      return true
    }
    if (requestEvents.has(event)) {
      const [request, response] = values as [{ readonly socket: object }, object]
      responses.set(request.socket, new WeakRef(response))
    }
    return emit(event, values)
  }
  return (socket) => responses.get(socket)?.deref()?.writableFinished === false
}

/** Never rejects. */
async function decideUpgrade(engine: Engine, request: UpgradeRequest): Promise<Decision> {
  const { method = '', url = '' } = request
  const oddity = findOddity(request)
  if (oddity !== undefined) {
    const found = describe(`${method} ${url}`)
    const refusal = new Refusal('route_not_declared', { reason: oddity, found, unverified: true })
    const mode = engine.compiled.areAllRoutesObserved ? undefined : 'enforce'
    return engine.overrule(undefined, 'rule', refusal, method, mode)
  }
  return engine.decideRequest({ method, url, headers: fieldsOf(request) }, consumedBy(request))
}

/** Ends a socket when its credentials end. */
function watch(engine: Engine, decision: Decision, socket: UpgradeSocket, interval: number): void {
  const writtenBefore = socket.bytesWritten
  const stop = watchCredentials(engine, decision, interval, ({ code }) => {
    if (socket.destroyed) return
    // Without a response to the handshake there is no WebSocket to close yet.
    if (socket.bytesWritten === writtenBefore) socket.destroy()
    else closeWebSocket(socket, code)
  })
  socket.once('close', stop)
}

function checkServer(server: UpgradeServer): void {
  // An Express app and a WebSocketServer emit events, too.
  const isServer = ['emit', 'address', 'listen'].every(
    (name) => typeof Reflect.get(Object(server), name) === 'function',
  )
  if (isServer) return
  throw new TypeError(
    'guardUpgrade takes a server of node:http or node:https as its first argument: what createServer(app), ' +
      'app.listen() or serve() returns, not the app and not the WebSocketServer',
  )
}
