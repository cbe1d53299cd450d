// Prints the commands of a block of README.md: the ```sh block behind <!-- run: NAME -->. Continuous integration runs
// what the README tells its readers to run. Works on an old Node, before anything is installed.
import { readFileSync } from 'node:fs'

const name = process.argv[2] ?? ''
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const blocks = [...readme.matchAll(/^<!-- run: (\w+) -->\s*\n```sh\n([^]*?)^```$/gm)]
const found = blocks.find((block) => block[1] === name)
if (found === undefined) {
  console.error(
    `readme-command: README.md has no block "${name}"; it has: ${blocks.map((block) => block[1]).join(', ')}`,
  )
  process.exit(2)
}
process.stdout.write(found[2])
