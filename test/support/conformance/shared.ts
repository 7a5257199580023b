import type { Row } from '../../../fixtures/conformance/row.js'
import { policyOf } from '../../../fixtures/conformance/run.js'
import { createKit, type Kit } from '../../../fixtures/kit.js'

/** A verifier and what a test has made with it, such as an app. */
interface Closable {
  close(): void | Promise<void>
}

/** The result of `open`, and the kit whose clock it reads. */
type Opened<T> = T & { readonly kit: Kit }

export interface SharedByRows<T> {
  /** Calls `run` with what was opened for the row, and closes that if no other row shares it. */
  use(row: Row, run: (opened: Opened<T>) => Promise<void>): Promise<void>
  close(): Promise<void>
}

/**
 * Opens something for rows: `open` is called once for all rows that have equal policies and nothing of their
 * own, because a verifier takes longer to make than a row to run. The column of the core has a new verifier
 * for each row.
 */
export function shareByPolicy<T extends Closable>(
  open: (row: Row, kit: Kit) => T | Promise<T>,
): SharedByRows<T> {
  const shared = new Map<string, Opened<T>>()
  const openRow = async (row: Row) => {
    const kit = createKit(row.now)
    return Object.assign(await open(row, kit), { kit })
  }
  return {
    async use(row, run) {
      const key = sharedKeyOf(row)
      if (key === undefined) {
        const opened = await openRow(row)
        return run(opened).finally(() => opened.close())
      }
      const opened = shared.get(key) ?? (await openRow(row))
      shared.set(key, opened)
      const { kit } = opened
      const { now } = kit
      kit.nonce = undefined
      await run(opened).finally(() => {
        kit.now = now
      })
    },
    async close() {
      for (const opened of shared.values()) await opened.close()
    },
  }
}

/**
 * Equal for rows that can share a verifier: one request, no options, clock or key set of their own, and
 * nothing to count. Undefined for other rows.
 */
export function sharedKeyOf(row: Row): string | undefined {
  if ('steps' in row || row.options !== undefined || row.jwks !== undefined || row.now !== undefined)
    return undefined
  const key = JSON.stringify(policyOf(row))
  return key.includes('"limit":') ? undefined : key
}
