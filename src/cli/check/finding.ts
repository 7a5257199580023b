import { withoutControls } from '../../lib/sanitize.js'
import { formatPath } from '../../policy/error.js'
import { locate } from '../../policy/json-file.js'
import type { Policy } from '../../policy/policy.js'

/** Names of lints, as `--allow` takes them. */
export const lintNames = [
  'unreachable-key',
  'unused-workflow',
  'public-under-protected',
  'shared-store',
  'long-lifetime',
  'bearer-allowed',
  'impossible-name',
  'insecure-http',
  'operation-without-rule',
  'rule-without-operation',
  'secured-operation-public',
] as const

export type LintName = (typeof lintNames)[number]

/** One line of `ajwt check`. */
export interface Finding {
  readonly file: string
  /** Lines and columns count from 1. */
  readonly line: number
  readonly column: number
  readonly message: string
  /** Undefined for a fault; `note` for a remark that is no finding. */
  readonly lint: LintName | 'note' | undefined
}

/** Reports a lint about a place of the policy. */
export type Report = (
  lint: LintName | 'note',
  path: readonly PropertyKey[],
  message: string,
  part?: 'name' | 'value',
) => void

/** Collects findings about a policy, each with its place in the file. */
export function createReport(policy: Policy, file: string): { readonly findings: Finding[]; report: Report } {
  const findings: Finding[] = []
  return {
    findings,
    report(lint, path, message, part = 'name') {
      // A policy that a module exports has no places.
      const { line, column, file: named } = locate(policy, path, part) ?? { file, line: 1, column: 1 }
      findings.push({ file: named, line, column, message: `${formatPath(path)}: ${message}`, lint })
    },
  }
}

export function formatFinding({ file, line, column, message, lint }: Finding): string {
  const text = lint === 'note' ? `note: ${message}` : message
  const name = lint === undefined || lint === 'note' ? '' : ` [${lint}]`
  // A path of somebody's OpenAPI document must not look like another finding, or command the terminal.
  return withoutControls(`${file}:${line}:${column}: ${text}${name}`)
}
