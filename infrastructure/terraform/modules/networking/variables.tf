variable "name" {
  description = "Prefix of every name, for example security-hub-production."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "Tags on top of the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "cidr" {
  description = "Addresses of the network. /16 to /20, so that three zones of three tiers fit."
  type        = string
  validation {
    condition     = can(cidrhost(var.cidr, 0)) && contains(range(16, 21), tonumber(split("/", var.cidr)[1]))
    error_message = "The network needs an IPv4 prefix between /16 and /20."
  }
  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr))
    error_message = "Private addresses (RFC 1918) only."
  }
}

variable "region" {
  description = "The provider's region."
  type        = string
}

variable "zones" {
  description = "Availability zones, three of them: the database's and the cluster's quorums need a third."
  type        = list(string)
  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "Exactly three different zones."
  }
  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "Zones of the region ${var.region}."
  }
}

variable "nat_per_zone" {
  description = "One NAT gateway in each zone (survives the loss of a zone) or one for all (cheaper)."
  type        = bool
}

variable "log_key_arn" {
  description = "KMS key of the log groups."
  type        = string
}

variable "log_retention_days" {
  description = "How long flow and VPN logs stay in CloudWatch."
  type        = number
  default     = 365
  validation {
    condition     = contains([30, 90, 180, 365, 400, 731, 1096], var.log_retention_days)
    error_message = "One of the periods that CloudWatch knows, from 30 days up."
  }
}

variable "vpn_sites" {
  description = "Sites that reach the private endpoint by VPN: name to public address, BGP number and their networks."
  type = map(object({
    address  = string
    asn      = optional(number, 65000)
    networks = list(string)
  }))
  default = {}
  validation {
    condition     = alltrue([for s in var.vpn_sites : can(cidrhost("${s.address}/32", 0)) && length(s.networks) > 0])
    error_message = "Each site needs one IPv4 address and at least one network."
  }
  validation {
    condition     = alltrue(flatten([for s in var.vpn_sites : [for n in s.networks : can(cidrhost(n, 0)) && n != "0.0.0.0/0"]]))
    error_message = "Networks of a site are IPv4 prefixes and not everything."
  }
  validation {
    # Ten numbers of the ACL's rules are a site's (segmentation.tf).
    condition     = alltrue([for s in var.vpn_sites : length(s.networks) <= 10])
    error_message = "A site has at most ten networks."
  }
}
