/**
 * The documents as a subject: every example compiles and works, every link leads somewhere.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { commit, git, temporaryDirectory } from './support/cli-directories.ts'
import { codeBlocks, localLinks } from './support/markdown.ts'
import { runCommand } from './support/run-command.ts'
import { readSources, repositoryFiles, ROOT } from './support/source-tree.ts'

const paths = repositoryFiles()
const documents = readSources(paths.filter((path) => /^(?:docs\/.*|[^/]+)\.md$/.test(path)))
const blocks = documents.flatMap(({ path, text }) => codeBlocks(path, text)).filter((block) => block.language === 'ts')
const examples = paths.filter((path) => /^examples\/[^/]+\.ts$/.test(path))

/** Where the programs stand: inside the repository, so that they find its packages. */
const folder = join(ROOT, '.cache/docs')
const programs = blocks.map((block, index) => ({
  place: block.place,
  isRun: !block.isFragment,
  file: join(folder, `${String(index).padStart(3, '0')}-${basename(block.place).replace(/\W+/g, '-')}.ts`),
  text: `${block.given}${block.text}\nexport {}\n`,
}))

function writePrograms(): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const { file, text } of programs) writeFileSync(file, text)
  const compilerOptions = {
    noUnusedLocals: false,
    noUnusedParameters: false,
    isolatedDeclarations: false,
    declaration: false,
    paths: { varve: ['../../src/varve.ts'], 'varve/testing': ['../../src/testing.ts'] },
  }
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions,
    include: ['*.ts', '../../examples/*.ts', '../../src/**/*.d.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
}

function typeFaults(): string {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const args = [tsc, '-p', join(folder, 'tsconfig.json'), '--pretty', 'false']
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: folder })
  if (status === 0) return ''
  // Faults of the sources themselves belong to the check of types.
  const own = stdout.split('\n').filter((line) => /^\S/.test(line) && !/^(\.\.\/)+(src|test)\//.test(line))
  return programs.reduce(
    (text, { file, place }) => text.replaceAll(basename(file), `${place} ${basename(file)}`),
    own.join('\n'),
  )
}

/** Runs a program in an empty directory, which is also its argument. */
function runProgram(file: string): { status: number | null; output: string } {
  const directory = mkdtempSync(join(tmpdir(), 'varve-docs-'))
  try {
    const hooks = pathToFileURL(join(ROOT, 'test/support/resolve-varve.mjs')).href
    const options = { cwd: directory, encoding: 'utf8', timeout: 60_000 } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', hooks, file, directory], options)
    return { status, output: stdout + stderr }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function readmeCommand(name: string): string {
  return execFileSync(process.execPath, [join(ROOT, 'scripts/readme-command.mjs'), name], { encoding: 'utf8' })
}

/** A git repository with a README.md of two versions. */
function aRepository(directory: string): void {
  mkdirSync(directory, { recursive: true })
  git(directory, ['init', '--quiet'])
  const first = commit(directory, [], { 'README.md': 'one\n' })
  git(directory, ['update-ref', 'HEAD', commit(directory, [first], { 'README.md': 'two\n' })])
}

describe('examples', () => {
  test('there are some, and they type-check', () => {
    writePrograms()
    expect(programs.some((program) => program.isRun)).toBe(true)
    expect(typeFaults()).toBe('')
  })

  test.each(programs.filter((program) => program.isRun))('$place runs', ({ file }) => {
    writePrograms()
    expect(runProgram(file)).toEqual({ status: 0, output: expect.any(String) as string })
  })

  test.each(examples.map((path) => ({ path })))('$path runs', ({ path }) => {
    const { status, output } = runProgram(join(ROOT, path))
    expect({ status, output }).toEqual({ status: 0, output: expect.stringMatching(/^ok /m) as string })
  })
})

describe('documents', () => {
  test.each(documents.map(({ path, text }) => ({ path, text })))(
    'the links of $path lead somewhere',
    ({ path, text }) => {
      const broken = localLinks(text).filter((target) => !existsSync(join(ROOT, dirname(path), target)))
      expect(broken).toEqual([])
    },
  )

  test('the README names commands that package.json has', () => {
    const readme = documents.find((document) => document.path === 'README.md')?.text ?? ''
    const scripts = Object.keys(
      (JSON.parse(readSources(['package.json'])[0]?.text ?? '') as { scripts: object }).scripts,
    )
    const named = [...readme.matchAll(/\bnpm (?:run ([a-z]+)|(test))\b/g)].map((match) => match[1] ?? match[2])
    expect(named.length).toBeGreaterThan(0)
    expect(named.filter((name) => !scripts.includes(name ?? ''))).toEqual([])
  })

  test('every decision stands in the index', () => {
    const pages = paths.filter((path) => /^docs\/decisions\/\d{4}-.*\.md$/.test(path)).map((path) => basename(path))
    const index = documents.find((document) => document.path === 'docs/decisions/README.md')?.text ?? ''
    expect(pages.filter((page) => !index.includes(`(${page})`))).toEqual([])
  })

  test('the commands that a script takes from the README are there', () => {
    expect(readmeCommand('demo')).toContain('npm run demo')
    expect(readmeCommand('test')).toContain('npm test')
  })

  test('the README uses the command as it can be used', async () => {
    const work = join(temporaryDirectory(), 'work')
    mkdirSync(work)
    aRepository(join(work, '../some/repo'))
    const lines = readmeCommand('commands').trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(5)
    const said = new Map<string, string>()
    for (const line of lines) {
      const [npx, name, subcommand, ...args] = line.split(' ')
      expect([npx, name]).toEqual(['npx', 'varve'])
      const { code, stdout, stderr } = await runCommand([subcommand!, ...args], { cwd: work })
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' })
      said.set(`${subcommand} ${args.join(' ')}`, stdout)
    }
    expect(said.get('get history README.md --format value')).toBe('two\n\n')
    expect(said.get('describe history')).toContain('newest on top')
  })
})
