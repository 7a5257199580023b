import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { agentChecksum } from '../agent/checksum.js'
import type { AgentDefinition } from '../agent/definition.js'
import { version } from '../lib/copies.js'
import { PolicyError } from '../policy/error.js'
import { policySchema } from '../policy/json-schema.js'
import { redact } from '../refusal.js'
import { type CheckOptions, check } from './check/check.js'
import { lintNames } from './check/finding.js'
import { codeDigest } from './code-digest.js'
import { type CurlOptions, curl } from './curl/curl.js'
import { type DemoOptions, demo } from './demo/demo.js'
import { type DiffOptions, diff } from './diff/diff.js'
import { type ExplainOptions, explain, frameworks } from './explain/explain.js'
import { readJsonFile } from './files.js'
import type { Terminal } from './terminal.js'
import { messageOf, UsageError } from './usage-error.js'

/** Carries out a command. 0: all is well; 1: a finding or a denial; 2: the command was wrong. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const isJson = argv.includes('--json')
  let code = 0
  const program = createProgram(terminal, isJson, (result) => {
    code = result
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    // An option may be misspelt, and its value a token.
    const message = redact(explainError(error))
    if (isJson) terminal.print(JSON.stringify({ error: message }))
    else if (!(error instanceof CommanderError)) terminal.remark(`ajwt: ${message}`)
    return 2
  }
}

function explainError(error: unknown): string {
  if (error instanceof PolicyError) return `${error.message}\nnpx ajwt check POLICY tells more.`
  if (error instanceof UsageError || error instanceof CommanderError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function createProgram(terminal: Terminal, isJson: boolean, done: (code: number) => void): Command {
  const program = new Command('ajwt')
    .description('Checks policies, and tells why a request is denied.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => (isJson ? undefined : terminal.remark(redact(text.trimEnd()))),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    })
    .addHelpText('after', '\nExit code: 0 all is well, 1 a finding or a denial, 2 the command is wrong.')

  addCheck(program, terminal, done)
  addExplain(program, terminal, done)
  addCurl(program, terminal, done)
  program
    .command('diff')
    .description(
      'print which requests change their verdict, each by an example; 1 where any gets through that did not',
    )
    .argument('<old>', 'the policy as it is')
    .argument('<new>', 'the policy as it is to be')
    .option('--json', 'print JSON')
    .action(async (before: string, after: string, options: DiffOptions) =>
      done(await diff(before, after, options, terminal)),
    )
  program
    .command('demo')
    .description('attack a protected API, all in this process, and show what comes of it')
    .option('--trace', 'show the denials by the stage that they came to, as an operator sees them')
    .option('--explain <row...>', 'tell every check of a row: its number, or a part of its name')
    .action(async (options: DemoOptions) => done(await demo(options, terminal)))
  program
    .command('checksum')
    .description('print the checksum of an agent: a JSON file with id, prompt, tools and config')
    .argument('[agent]', 'JSON file, or - for standard input')
    .option('--code <entry>', 'print the digest of all modules that this entry loads, for code.digest')
    .action(async (file: string | undefined, { code }: { code?: string }) => {
      if ((file === undefined) === (code === undefined))
        throw new UsageError('checksum needs either a JSON file, or --code with the entry of a program')
      terminal.print(file === undefined ? await codeDigest(code as string) : await checksumOf(file))
    })
  program
    .command('schema')
    .description('print the JSON Schema of a policy, for editors')
    .action(() => terminal.print(JSON.stringify(policySchema, null, 2)))
  return program
}

function addCheck(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('check')
    .description('print every fault and every lint of a policy, as FILE:LINE:COLUMN: message')
    .argument('[policy]', 'JSON file, or a JavaScript module that exports the policy')
    .option('--openapi <file>', 'compare with an OpenAPI document, JSON or YAML')
    .option('--from-openapi <file>', 'print a first policy for an OpenAPI document')
    .option('--emit [file]', 'write the checked policy as a module, for bundles without the schema')
    .option('--rules <file>', 'rules of handlers by name, JSON or a module: check and emit them as well')
    .option('--resolver', 'the verifier has the option resolveIssuer')
    .addOption(new Option('--allow <lint...>', 'accept a lint').choices(lintNames))
    .option('--json', 'print the findings as JSON')
    .action(async (file: string | undefined, options: CheckOptions) =>
      done(await check(file, options, terminal)),
    )
}

function addExplain(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('explain')
    .description(
      'tell why a request is allowed or denied: every check, what it expected and found, what to do',
    )
    .requiredOption('--policy <file>', 'the policy of the API')
    .option('--method <method>', 'of the request (default: GET)')
    .option('--url <url>', 'of the request: absolute, or path with query')
    .option('--token <token>', 'the access token, with or without its scheme')
    .option('--proof <proof...>', 'the DPoP proof')
    .option('--header <field...>', 'a further field, as "Name: value"')
    .option('--curl <command>', 'take the request from a curl command; - reads it from standard input')
    .option('--har <file>', 'take the request from a HAR file')
    .option('--otlp <file>', 'take the request from spans in OTLP/JSON that captured its fields')
    .option('--entry <number>', 'which request of the file, from 1 (default: the first refused)', toNumber)
    .option(
      '--at <time>',
      'the time of the request, as 2026-11-28T14:00:00Z (default: of the recording, or now)',
    )
    .option('--jwks <file>', "the issuer's keys, so that nothing is fetched")
    .option('--revoked <id...>', 'an entry of the revocation list, as "agent:https://as.example.com agent-7"')
    .option('--redis <url>', 'read revocations and the state of the replay store from Redis')
    .option('--redis-prefix <prefix>', 'of redisRevocations, where it is not the default')
    .addOption(new Option('--framework <name>', 'how the API matches paths').choices(Object.keys(frameworks)))
    .option('--json', 'print JSON, and nothing on standard error')
    .action(async (options: ExplainOptions) => done(await explain(options, terminal)))
}

function addCurl(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('curl')
    .description('print a curl command that a policy lets in, signed by a local test issuer')
    .requiredOption('--policy <file>', 'the policy of the API')
    .option('--method <method>', 'of the request (default: GET)')
    .option('--url <url>', 'a path of the API, or a whole URL such as http://localhost:3000/orders/42')
    .option('--agent <id>', 'the agent (default: one that the rule lists)')
    .option('--scope <scope...>', 'the scopes of the token (default: those of the rule)')
    .option('--workflow <id>', 'the workflow (default: that of the rule)')
    .option('--step <id>', 'the step (default: one of the rule)')
    .option('--claims <json>', 'further claims, as \'{"amount": 10}\'')
    .option('--bearer', 'a token that is bound to no key')
    .option('--nonce <nonce>', 'the DPoP-Nonce of the last answer')
    .option('--key <file>', 'the private key of the test issuer: made where the file is not there')
    .option('--jwks <file>', 'write the public key of the test issuer to this file, as a JWK Set')
    .action(async (options: CurlOptions) => done(await curl(options, terminal)))
}

function toNumber(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('must be a number from 1.')
  return Number(text)
}

async function checksumOf(file: string): Promise<string> {
  const definition = readJsonFile(file, 'agent')
  try {
    return await agentChecksum(definition as AgentDefinition)
  } catch (error) {
    throw new UsageError(`${file}: ${messageOf(error)}`)
  }
}
