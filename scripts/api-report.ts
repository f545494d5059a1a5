/**
 * One report a subpath in api/: the public surface as text, so that a change of it shows in the diff.
 *
 *   npm run api              writes the reports (build first)
 *   ... api-report.ts check  compares, and fails on any difference
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  type IExtractorMessagesConfig,
} from '@microsoft/api-extractor'
import { root, subpaths } from './subpaths.js'

const write = process.argv[2] !== 'check'
const reports = join(root, 'api')
const silent = { default: { logLevel: ExtractorLogLevel.None } }
const messages: IExtractorMessagesConfig = {
  compilerMessageReporting: silent,
  tsdocMessageReporting: silent,
  // What a signature names and the subpath does not export is shown in the report.
  extractorMessageReporting: {
    ...silent,
    'ae-forgotten-export': { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
  },
}

mkdirSync(reports, { recursive: true })
const names = subpaths.map(({ name }) => `${name.replaceAll('/', '-')}.api.md`)
const wrong: string[] = []
for (const file of readdirSync(reports).filter((file) => !names.includes(file))) {
  if (write) rmSync(join(reports, file))
  else wrong.push(`api/${file} belongs to no subpath`)
}

for (const [index, { types }] of subpaths.entries()) {
  const reportFileName = names[index]!
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, types),
      compiler: { tsconfigFilePath: join(root, 'tsconfig.json'), skipLibCheck: true },
      apiReport: {
        enabled: true,
        reportFileName,
        reportFolder: reports,
        reportTempFolder: join(root, '.cache/api'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages,
    },
  })
  const missing = !existsSync(join(reports, reportFileName))
  const result = Extractor.invoke(config, {
    localBuild: write,
    messageCallback: (message) => {
      message.handled = true // the summary below says it in one line
    },
  })
  if (!write && (missing || result.apiReportChanged)) wrong.push(`api/${reportFileName}`)
  else if (result.errorCount > 0) wrong.push(`${reportFileName}: ${result.errorCount} errors`)
}

if (wrong.length > 0) {
  console.error(`The public surface is not what api/ says:\n  ${wrong.join('\n  ')}`)
  console.error('If that is meant: npm run api, then look at the diff and commit it.')
  process.exit(1)
}
console.log(`${names.length} reports ${write ? 'written' : 'match'}`)
