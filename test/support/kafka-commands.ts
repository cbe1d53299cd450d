/**
 * The commands of docs/kafka.md, run as they stand there: `varve` and Kafka's scripts are found on a PATH of their own.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { JAVA_FLAGS, kafkaClassPath } from './kafka.ts'
import { COMMAND } from './run-command.ts'
import { ROOT } from './source-tree.ts'

const SCRIPTS = {
  'kafka-topics.sh': 'org.apache.kafka.tools.TopicCommand',
  'kafka-get-offsets.sh': 'org.apache.kafka.tools.GetOffsetShell',
} as const

export class DocumentedCommands {
  readonly #folder: string
  readonly #variables: Readonly<Record<string, string>>
  readonly #blocks: ReadonlyMap<string, string>

  private constructor(folder: string, variables: Readonly<Record<string, string>>) {
    this.#folder = folder
    this.#variables = variables
    const text = readFileSync(join(ROOT, 'docs/kafka.md'), 'utf8')
    const blocks = [...text.matchAll(/^<!-- run: (\w+) -->\s*\n```sh\n([^]*?)^```$/gm)]
    this.#blocks = new Map(blocks.map((block) => [block[1]!, block[2]!]))
  }

  /** Puts the programs into `folder`; `variables` are what the document calls `$STORE`, `$KAFKA` and so on. */
  static async in(folder: string, variables: Readonly<Record<string, string>>): Promise<DocumentedCommands> {
    mkdirSync(folder, { recursive: true })
    const script = (name: string, line: string): void => {
      writeFileSync(join(folder, name), `#!/bin/sh\nexec ${line} "$@"\n`)
      chmodSync(join(folder, name), 0o755)
    }
    const classPath = await kafkaClassPath()
    script('varve', `'${process.execPath}' '${COMMAND}'`)
    for (const [name, main] of Object.entries(SCRIPTS)) {
      script(name, `java ${JAVA_FLAGS.join(' ')} -cp '${classPath}' ${main}`)
    }
    return new DocumentedCommands(folder, variables)
  }

  get names(): string[] {
    return [...this.#blocks.keys()]
  }

  /** Runs a block; answers what it said. Throws when it fails. */
  run(name: string, more: Readonly<Record<string, string>> = {}): string {
    const text = this.#blocks.get(name)
    if (text === undefined) throw new Error(`docs/kafka.md has no commands called ${name}`)
    const env = { ...process.env, ...this.#variables, ...more, PATH: `${this.#folder}:${process.env['PATH'] ?? ''}` }
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', text], {
      cwd: this.#folder,
      env,
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`the commands ${name} of docs/kafka.md ended with ${status}:\n${stdout}${stderr}`)
    return stdout
  }
}
