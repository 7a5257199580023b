import type { Answer, Attacker, AttackRow, AttackTarget, TestApp } from './attacker.js'
import { corpus } from './corpus.js'
import type { Mint } from './mint.js'

export async function runAttacks(mint: Mint, app: TestApp, target: AttackTarget): Promise<AttackRow[]> {
  const attacker = createAttacker(mint, app, target)
  const honest = () => attacker.send(attacker.carry(attacker.token()))
  const rows: AttackRow[] = [await honestRow(honest)]
  // One after the other: an app that is overwhelmed would answer otherwise than one that is attacked.
  for (const { name, expected, applies, forge } of corpus) {
    if (applies && !applies(target, { asksForNonce: attacker.asksForNonce() })) continue
    const [status, ...codes] = expected
    const answer = await attempt(async () => attacker.send(await forge(attacker)))
    rows.push({
      name,
      expected: `${status} ${codes.join(' or ')}`,
      got: typeof answer === 'string' ? answer : told(answer),
      ok: typeof answer !== 'string' && isRefusal(answer, status, codes),
    })
  }
  return rows
}

/** A gate that refuses everything would pass for a good one, and a route that is not there for a closed one. */
async function honestRow(send: () => Promise<Answer>): Promise<AttackRow> {
  let answer = await attempt(send)
  if (typeof answer !== 'string' && answer.code === 'proof_nonce_required') answer = await attempt(send)
  const ok = typeof answer !== 'string' && answer.status >= 200 && answer.status < 400
  const got = typeof answer === 'string' ? answer : told(answer)
  return { name: 'the honest request', expected: 'let through', got, ok }
}

/** Another gate in front, which has no codes, may have refused it: then any refusal counts. */
function isRefusal({ status, code }: Answer, expected: number, codes: readonly string[]): boolean {
  return code === undefined ? [400, 401, 403].includes(status) : status === expected && codes.includes(code)
}

function told({ status, code }: Answer): string {
  return code === undefined ? String(status) : `${status} ${code}`
}

/** What breaks is a row, too: the others are still worth knowing. */
async function attempt(send: () => Promise<Answer>): Promise<Answer | string> {
  try {
    return await send()
  } catch (error) {
    return `failed: ${String(error)}`
  }
}

function createAttacker(mint: Mint, app: TestApp, target: AttackTarget): Attacker {
  const method = target.method ?? 'GET'
  const url = mint.urlOf(target.url)
  const base = mint.urlOf('/')
  const path = url.startsWith(base) ? url.slice(base.length - 1) : url.slice(new URL(url).origin.length)
  let nonce: string | undefined
  let asksForNonce = false
  const key = () => mint.agents.keyOf(mint.executor(target))

  const attacker: Attacker = {
    mint,
    target,
    method,
    url,
    path,
    claims: (change = {}) => mint.claims({ ...target, ...change }),
    token: (change = {}, header = {}) => mint.sign({ ...attacker.claims(), ...change }, header),
    proof: (token, over = {}) => mint.proof({ method, url, token, key: key(), nonce, ...over }),
    asksForNonce: () => asksForNonce,
    carry: (token, proof = attacker.proof(token)) => ({
      headers: [
        ['authorization', `DPoP ${token}`],
        ['dpop', proof],
      ],
    }),
    async send(forgery) {
      const headers = new Headers(target.headers)
      for (const [name, value] of forgery.headers) headers.append(name, value)
      const init: RequestInit = { method, headers, redirect: 'manual' }
      if (target.body !== undefined) init.body = target.body
      const to = forgery.path ?? path
      const at = forgery.app ?? app
      const response =
        typeof at === 'function'
          ? await at(new Request(mint.urlOf(to), init))
          : await fetch(new URL(at).origin + to, init)
      nonce = response.headers.get('dpop-nonce') ?? nonce
      const code = codeIn(await response.text())
      asksForNonce ||= code === 'proof_nonce_required'
      return { status: response.status, code }
    },
  }
  return attacker
}

function codeIn(body: string): string | undefined {
  try {
    const { code }: { code?: unknown } = JSON.parse(body)
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined
  }
}
