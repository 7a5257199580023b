import type { Decision, Stage } from '../../decision.js'
import type { DecisionFacts } from '../../index.js'
import type { Terminal } from '../terminal.js'

/** What an operator sees of denied requests, as spans `ajwt.verify` show it. */
export interface Trace {
  record(decision: Decision, facts: DecisionFacts): void
  /** All denied requests, by the stage that denied them. */
  tree(terminal: Terminal): string
}

interface Denied {
  readonly stage: Stage
  readonly code: string
  readonly facts: DecisionFacts
}

const stages: readonly Stage[] = ['request', 'token', 'revocation', 'proof', 'delegation', 'rule']

export function createTrace(): Trace {
  const denials: Denied[] = []
  return {
    record(decision, facts) {
      if ('code' in decision) denials.push({ stage: decision.stage, code: decision.code, facts })
    },
    tree({ colors, columns }) {
      const branches = stages.flatMap((stage) => {
        const own = denials.filter((denied) => denied.stage === stage)
        const width = Math.max(0, ...own.map(({ code }) => code.length))
        return [
          colors.bold(`${stage}${own.length === 0 ? ': none' : ''}`),
          ...own.map((denied, index) => lineOf(denied, width, index === own.length - 1, columns)),
        ]
      })
      return [`${denials.length} denials, by the stage that they came to`, ...branches].join('\n')
    },
  }
}

function lineOf({ code, facts }: Denied, width: number, isLast: boolean, columns: number): string {
  const { agent, duration, cause } = facts
  const parts = [`${Math.round(duration * 1e6)} µs`, agent && `agent ${agent}`, cause?.reason].filter(Boolean)
  const line = `${isLast ? '└─' : '├─'} ${code.padEnd(width)}  ${parts.join(', ')}`
  return line.length > columns ? `${line.slice(0, columns - 1)}…` : line
}
