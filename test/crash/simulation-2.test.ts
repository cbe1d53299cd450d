/** The other half of the seeds of `simulation.test.ts`. */
import { simulate } from '../support/sim-campaign.ts'

simulate({ index: 1, of: 2 })
