import { writeFileSync } from 'node:fs'
import { compilePolicy } from '../../compile/compile-policy.js'
import { checkRules, emitPolicy } from '../../compile/emit-policy.js'
import { PolicyError } from '../../policy/error.js'
import type { Policy } from '../../policy/policy.js'
import type { RuleData } from '../../policy/schema.js'
import { readPolicyFile, readRulesFile } from '../policy-file.js'
import type { Terminal } from '../terminal.js'
import { UsageError } from '../usage-error.js'
import { createReport, type Finding, formatFinding, lintNames } from './finding.js'
import { lintPolicy } from './lints.js'
import { compareWithOpenApi } from './openapi/compare.js'
import { firstPolicy } from './openapi/first-policy.js'
import { readOpenApi } from './openapi/read.js'

export interface CheckOptions {
  readonly openapi?: string
  readonly fromOpenapi?: string
  /** A file, or true for standard output. */
  readonly emit?: string | true
  /** A file with rules for handlers, by name. */
  readonly rules?: string
  readonly resolver?: boolean
  readonly allow?: readonly string[]
  readonly json?: boolean
}

/** Prints every fault of a policy, or else every lint: 1 where there is one, 0 where there is none. */
export async function check(
  file: string | undefined,
  options: CheckOptions,
  terminal: Terminal,
): Promise<number> {
  if (options.fromOpenapi !== undefined) {
    if (file !== undefined)
      throw new UsageError('--from-openapi writes a policy: it takes no POLICY to check')
    terminal.print(JSON.stringify(firstPolicy(readOpenApi(options.fromOpenapi)), null, 2))
    return 0
  }
  if (file === undefined) throw new UsageError('check needs a POLICY: npx ajwt check policy.json')
  const allowed = new Set(options.allow ?? [])
  const unknown = [...allowed].find((name) => !lintNames.some((known) => known === name))
  if (unknown !== undefined)
    throw new UsageError(`--allow ${unknown}: there is no such lint. Lints: ${lintNames.join(', ')}`)

  const all = await findingsOf(file, options)
  const findings = all.filter(({ lint }) => lint === undefined || !allowed.has(lint))
  const serious = findings.filter(({ lint }) => lint !== 'note')
  // Where the module goes to standard output, nothing else does.
  const print = options.emit === true ? terminal.remark : terminal.print
  if (options.json) print(JSON.stringify(findings, null, 2))
  else {
    for (const finding of findings) print(formatFinding(finding))
    terminal.remark(summaryOf(file, serious))
  }
  const isFaulty = findings.some(({ lint }) => lint === undefined)
  if (options.emit !== undefined && !isFaulty) await emit(file, options.emit, options.rules, terminal)
  return serious.length > 0 ? 1 : 0
}

/** Writes the policy as a module that was checked: a bundle of it needs no schema. */
async function emit(
  file: string,
  target: string | true,
  rules: string | undefined,
  terminal: Terminal,
): Promise<void> {
  const source = emitPolicy(
    await readPolicyFile(file),
    rules === undefined ? undefined : await readRulesFile(rules),
  )
  if (target === true) terminal.print(source.trimEnd())
  else writeFileSync(target, source)
}

async function findingsOf(file: string, options: CheckOptions): Promise<readonly Finding[]> {
  let policy: Policy
  let handlerRules: readonly RuleData[] = []
  let read = file
  try {
    policy = await readPolicyFile(file)
    const { ruleContext } = compilePolicy(policy, options.resolver === true)
    if (options.rules !== undefined) {
      read = options.rules
      handlerRules = checkRules(await readRulesFile(read), ruleContext)
    }
  } catch (error) {
    if (error instanceof PolicyError) return faultsOf(error, read)
    throw error
  }
  const { findings, report } = createReport(policy, file)
  lintPolicy(policy, handlerRules, report)
  const others =
    options.openapi === undefined ? [] : compareWithOpenApi(policy, readOpenApi(options.openapi), report)
  return [...inOrder(findings), ...others]
}

function faultsOf({ issues }: PolicyError, file: string): readonly Finding[] {
  const findings = issues.map(({ path, message, file: named = file, line = 1, column = 1 }) => ({
    file: named,
    line,
    column,
    message: path === '' ? message : `${path}: ${message}`,
    lint: undefined,
  }))
  return inOrder(findings)
}

function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((one, other) => one.line - other.line || one.column - other.column)
}

function summaryOf(file: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return `${file}: no findings`
  const faults = findings.filter(({ lint }) => lint === undefined).length
  if (faults > 0)
    return `${file}: ${faults} ${faults === 1 ? 'fault' : 'faults'}. Lints come when these are mended.`
  return `${file}: ${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}. Accept one with --allow NAME.`
}
