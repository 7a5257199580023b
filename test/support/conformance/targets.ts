import type { App, StartApp } from '../../../fixtures/conformance/apps.js'
import type { Row } from '../../../fixtures/conformance/row.js'
import { policyOf, setupOf } from '../../../fixtures/conformance/run.js'
import { createKit, type Kit } from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'

/** An app with its verifier, and the kit whose clock the verifier reads. */
export interface Target {
  readonly kit: Kit
  readonly app: App
  readonly policy: Policy
  /** Every URL that the verifier fetched for this row. */
  readonly fetched: string[]
}

export interface Targets {
  /** Calls `run` with the app of a row, and closes the app if no other row shares it. */
  use(row: Row, run: (target: Target) => Promise<void>): Promise<void>
  close(): Promise<void>
}

interface OpenTarget extends Target {
  close(): Promise<void>
}

/**
 * Starts apps for rows. Rows of one request with equal policies share an app, because a verifier takes longer
 * to make than a row to run. The column of the core has a new verifier for each row.
 */
export function createTargets(start: StartApp): Targets {
  const shared = new Map<string, OpenTarget>()
  return {
    async use(row, run) {
      const key = sharedKeyOf(row)
      const target = (key === undefined ? undefined : shared.get(key)) ?? (await open(row, start))
      if (key === undefined) return run(target).finally(target.close)
      shared.set(key, target)
      const { now } = target.kit
      target.fetched.length = 0
      target.kit.nonce = undefined
      await run(target).finally(() => {
        target.kit.now = now
      })
    },
    async close() {
      for (const target of shared.values()) await target.close()
    },
  }
}

async function open(row: Row, start: StartApp): Promise<OpenTarget> {
  const kit = createKit(row.now)
  const { verifier, policy, fetched } = setupOf(row, kit)
  const app = await start(verifier, policy)
  const close = () => {
    verifier.close()
    return app.close()
  }
  return { kit, app, policy, fetched, close }
}

/** Equal for rows that can share an app: no options, clock or key set of their own, and nothing to count. */
function sharedKeyOf(row: Row): string | undefined {
  if ('steps' in row || row.options !== undefined || row.jwks !== undefined || row.now !== undefined)
    return undefined
  const key = JSON.stringify(policyOf(row))
  return key.includes('"limit":') ? undefined : key
}
