/**
 * `varve/s3`: tiers on S3.
 *
 * Owns     the public names, one by one.
 */
import './base/node-version.ts'

export { s3Tier, type S3TierOptions } from './remote/s3-tier.ts'
