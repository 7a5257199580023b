/**
 * `npm run bench`: the cost of verification alone, over HTTP and compared with other libraries, its growth,
 * its limits, its memory and Redis. Writes `bench/results-PROCESSOR.md`. Every contender must accept valid
 * requests and deny invalid ones before it is measured. The soak test is a separate program.
 */
import { growthSection } from './parts/growth.js'
import { httpSection, threadSection } from './parts/http.js'
import { limitSection } from './parts/limits.js'
import { memorySection } from './parts/memory.js'
import { redisSection } from './parts/redis.js'
import { releaseSection } from './parts/releases.js'
import { commit, createReport, fixed, machine, processor, versionOf } from './parts/report.js'
import { verifySection } from './parts/verify.js'

const began = performance.now()
const name = processor().toLowerCase().replaceAll(' ', '-')
const report = createReport(
  `results-${name}.md`,
  `The cost of verification on ${processor()}`,
  `plots/${name}`,
)
const others = [
  'express',
  'koa',
  'hono',
  '@hono/node-server',
  'fastify',
  'autocannon',
  'express-oauth2-jwt-bearer',
  'oauth4webapi',
  'jose',
]
report.text(
  `Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, of commit ${commit()}: ` +
    `${machine()}.`,
  `With ${others.map((name) => `${name} ${versionOf(name)}`).join(', ')}.`,
  'Other load on the machine changes the times. It changes the ratios less, because the contenders take ' +
    'turns.',
)
await memorySection(report)
await verifySection(report)
await releaseSection(report)
await limitSection(report)
await threadSection(report)
await httpSection(report)
await growthSection(report)
await redisSection(report)
report.text(`The whole benchmark took ${fixed((performance.now() - began) / 60_000)} minutes.`)
report.write()
// Connections of fetched keys are still open.
process.exit()
