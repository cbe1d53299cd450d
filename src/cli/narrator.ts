/**
 * What a run of many steps says: a line as each ends, and what it found out, kept for a report.
 */
import type { Session } from './session.ts'

/** Says each step as it ends, or with `--json` only keeps it. */
export class Narrator {
  readonly steps: Record<string, Readonly<Record<string, number | boolean>>> = {}
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async step(name: string, facts: Readonly<Record<string, number | boolean>>, text: string): Promise<void> {
    this.steps[name] = facts
    await this.say(name, text)
  }

  async say(name: string, text: string): Promise<void> {
    if (!this.#session.json) await this.#session.out.line(`${name.padEnd(10)} ${text}`)
  }
}
