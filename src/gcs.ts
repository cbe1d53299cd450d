/**
 * `varve/gcs`: tiers on Google Cloud Storage.
 *
 * Owns     the public names, one by one.
 */
import './base/node-version.ts'

export { gcsTier, type GcsTierOptions } from './remote/gcs-tier.ts'
