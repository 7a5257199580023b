import type { RouteReport } from '../../../middleware/express.js'
import type { Policy } from '../../../src/index.js'
import { policyOf } from './tokens.js'

/** A policy with these keys. */
export const policyWith = (routes: Policy['routes'], more: Partial<Policy> = {}): Policy => ({
  ...policyOf([]),
  routes,
  ...more,
})

/** A report with one line for each finding. */
export function linesOf({ uncovered, unanswered, beforeMiddleware }: RouteReport) {
  return {
    uncovered: uncovered.map(({ method, path }) => `${method} ${path}`).sort(),
    unanswered: unanswered.map(({ method, path }) => `${method} ${path}`).sort(),
    beforeMiddleware: beforeMiddleware.map(({ method, path }) => `${method} ${path}`).sort(),
  }
}

/** A report without findings. */
export const emptyReport = { uncovered: [], unanswered: [], beforeMiddleware: [] }
