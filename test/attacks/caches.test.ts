import { Buffer } from 'node:buffer'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { createKit, type WireRequest } from '../../fixtures/kit.js'
import { verifierFor } from '../intent/verify.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes on the heap that something still holds. */
function heap(): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const kit = createKit()
/** Keeps nothing, so that all that grows is a cache. */
const options = { replayStore: { remember: () => true } }

/** As a socket would bring it: one flat string a field, which shares no memory with another. */
function flat({ method, url, headers }: WireRequest): WireRequest {
  const copy = (text: string) => Buffer.from(text, 'latin1').toString('latin1')
  return { method, url, headers: headers.map(([name, value]) => [name, copy(value)]) }
}

test('verified tokens take no more memory than the cache is given, whatever they hold', async () => {
  const { outcome } = verifierFor(kit, {}, options)
  // 15 KB of text that are 240 KB of objects: 800 of them, were the text what counts, would be kept at once.
  const authorization_details = Array.from({ length: 3600 }, () => ({}))
  const call = () => flat(kit.call({ token: { claims: { authorization_details } } }))
  expect(await outcome(call())).toBe('allow')
  const before = heap()
  for (let count = 0; count < 800; count++) await outcome(call())
  const grown = heap() - before
  // 128 MiB is the limit, and a little for the tables around it.
  expect(grown).toBeLessThan(145 * 1024 * 1024)
  // It does keep them, or this would show nothing.
  expect(grown).toBeGreaterThan(20 * 1024 * 1024)
  expect(await outcome(call())).toBe('allow')
})

test('the header of a proof is kept, not the proof around it', async () => {
  const { outcome } = verifierFor(kit, {}, options)
  const token = kit.token()
  const grownBy = async (pad: string, count: number) => {
    const before = heap()
    for (let n = 0; n < count; n++) {
      const proof = { header: { n: `${pad.length}-${n}` }, claims: { pad } }
      expect(await outcome(flat(kit.call({ token, proof })))).toBe('allow')
    }
    return (heap() - before) / count
  }
  // What is made once only is made now.
  await grownBy('', 100)
  const small = await grownBy('', 1000)
  const large = await grownBy('x'.repeat(5500), 1000)
  expect(large).toBeLessThan(small + 2000)
  expect(small).toBeLessThan(5000)
})
