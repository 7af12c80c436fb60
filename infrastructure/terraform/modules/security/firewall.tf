# A web ACL for an application load balancer or a distribution. **Attached to nothing here**: the overlays' way in is a network
# load balancer before HAProxy, on which no web ACL can hang; their firewall is the ingress's (Coraza). Whoever puts an
# application load balancer in front names this one by its ARN (output `platform`).

locals {
  # AWS' own rule groups: name => number, and rules of it that only count because they would refuse what the hub is
  # for. Event batches are larger than 8 KB, and findings quote attacks.
  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = { priority = 10, count = [] }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 20, count = [] }
    AWSManagedRulesCommonRuleSet          = { priority = 30, count = ["SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY"] }
    AWSManagedRulesAnonymousIpList        = { priority = 40, count = ["HostingProviderIPList"] }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:AWSManagedRulesKnownBadInputsRuleSet is among the rules below, which this check does not unfold; the tests assert it
  name        = var.name
  description = "In front of the hub"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.managed_rules
    content {
      name     = rule.key
      priority = rule.value.priority
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key
          dynamic "rule_action_override" {
            for_each = rule.value.count
            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.key}"
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "rate"
    priority = 1
    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }
    statement {
      rate_based_statement {
        limit              = var.request_rate_limit
        aggregate_key_type = "IP"
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = length(var.denied_countries) > 0 ? [1] : []
    content {
      name     = "countries"
      priority = 2
      action {
        block {}
      }
      statement {
        geo_match_statement {
          country_codes = var.denied_countries
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-countries"
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }
  tags = var.tags
}

resource "aws_cloudwatch_log_group" "firewall" {
  #checkov:skip=CKV_AWS_338:a year in production, which its tests assert; the other environments say less in their terraform.tfvars
  # AWS demands the prefix.
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this["logs"].arn
  tags              = var.tags
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  # What signs somebody in is in no log.
  redacted_fields {
    single_header {
      name = "authorization"
    }
  }
  redacted_fields {
    single_header {
      name = "cookie"
    }
  }
}

resource "aws_shield_protection" "this" {
  for_each     = var.shield_advanced ? var.shield_resource_arns : {}
  name         = "${var.name}-${each.key}"
  resource_arn = each.value
  tags         = var.tags

  depends_on = [aws_shield_subscription.this]
}

resource "aws_shield_subscription" "this" {
  count      = var.shield_advanced ? 1 : 0
  auto_renew = "ENABLED"
}
