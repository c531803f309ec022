// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
)

func kafkaAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{Optional: true,
		MarkdownDescription: "Read topics of Apache Kafka with the bundled runner. Exactly one of `kafka` and `transform` is set. Each attribute becomes the environment variable in parentheses, and only those that differ from their defaults are sent.",
		Attributes: map[string]schema.Attribute{
			"brokers":            setting("kafka.brokers", true),
			"topics":             setting("kafka.topics", false),
			"topics_pattern":     setting("kafka.topics_pattern", false),
			"start_offsets":      setting("kafka.start_offsets", false),
			"on_shard_changed":   setting("kafka.on_shard_changed", false),
			"shard":              setting("kafka.shard", false),
			"start":              setting("kafka.start", false),
			"client_id":          setting("kafka.client_id", false),
			"rack":               setting("kafka.rack", false),
			"group_id":           setting("kafka.group_id", false),
			"on_corrupt_batch":   setting("kafka.on_corrupt_batch", false),
			"isolation":          setting("kafka.isolation", false),
			"on_out_of_range":    setting("kafka.on_out_of_range", false),
			"on_topic_recreated": setting("kafka.on_topic_recreated", false),
			"metadata_interval":  setting("kafka.metadata_interval", false),
			"fetch_max_bytes":    setting("kafka.fetch_max_bytes", false),
			"max_batch_bytes":    setting("kafka.max_batch_bytes", false),
			"fetch_max_wait":     setting("kafka.fetch_max_wait", false),

			"tls": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Use TLS. `{}` trusts the system's authorities.", Attributes: map[string]schema.Attribute{
				"ca_certificate":   setting("kafka.tls.ca_certificate", false),
				"server_name":      setting("kafka.tls.server_name", false),
				"ca_file":          setting("kafka.tls.ca_file", false),
				"certificate_file": setting("kafka.tls.certificate_file", false),
				"private_key_file": setting("kafka.tls.private_key_file", false),
				"client_certificate_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with the client certificate, for mutual TLS. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name":            secretName(),
						"certificate_key": secretKey("certificate in PEM", "tls.crt"),
						"private_key_key": secretKey("private key in PEM", "tls.key"),
					}},
			}},
			"sasl": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Authenticate by SASL.", Attributes: map[string]schema.Attribute{
				"mechanism":  setting("kafka.sasl.mechanism", true),
				"token_url":  setting("kafka.sasl.token_url", false),
				"scope":      setting("kafka.sasl.scope", false),
				"extensions": setting("kafka.sasl.extensions", false),

				"allow_cleartext_credentials": setting("kafka.sasl.allow_cleartext_credentials", false),
				"credentials_secret": schema.SingleNestedAttribute{Required: true, MarkdownDescription: "Kubernetes secret with the credentials. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name":         secretName(),
						"username_key": secretKey("user name, or client id,", "username"),
						"password_key": secretKey("password, or client secret,", "password"),
					}},
			}},
			"batch": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "When a batch of records is committed: as soon as one of the limits is reached.", Attributes: map[string]schema.Attribute{
				"max_bytes":   setting("kafka.batch.max_bytes", false),
				"max_records": setting("kafka.batch.max_records", false),
				"max_files":   setting("kafka.batch.max_files", false),
				"max_age":     setting("kafka.batch.max_age", false),
			}},
			"file": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How records become files in the output repo.", Attributes: map[string]schema.Attribute{
				"format":      setting("kafka.file.format", false),
				"compression": setting("kafka.file.compression", false),
				"path":        setting("kafka.file.path", false),
				"path_time":   setting("kafka.file.path_time", false),
			}},
			"schema_registry": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Schema registry for `avro` and `parquet` files. It knows Avro, JSON Schema and Protobuf.", Attributes: map[string]schema.Attribute{
				"url":            setting("kafka.schema_registry.url", true),
				"server_name":    setting("kafka.schema_registry.server_name", false),
				"ca_certificate": setting("kafka.schema_registry.ca_certificate", false),
				"folder":         setting("kafka.schema_registry.folder", false),

				"allow_cleartext_credentials": setting("kafka.schema_registry.allow_cleartext_credentials", false),
				"credentials_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with the credentials of HTTP basic authentication. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name":         secretName(),
						"username_key": secretKey("user name", "username"),
						"password_key": secretKey("password", "password"),
					}},
				"token_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with a bearer token, in place of `credentials_secret`. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name": secretName(),
						"key":  secretKey("token", "token"),
					}},
				"client_certificate_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with the client certificate, for mutual TLS. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name":            secretName(),
						"certificate_key": secretKey("certificate in PEM", "tls.crt"),
						"private_key_key": secretKey("private key in PEM", "tls.key"),
					}},
			}},
			"records": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Which records are written, and what is taken out of them. Each commit says how many were read, written, left out and refused. What needs more than this is a pipeline of its own.", Attributes: map[string]schema.Attribute{
				"filter": setting("kafka.records.filter", false),
				"fields": setting("kafka.records.fields", false),
				"mask":   setting("kafka.records.mask", false),
				"mask_key_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with the key of the HMAC-SHA-256 that masks hash with. It must be in Pachyderm's namespace.",
					Attributes: map[string]schema.Attribute{
						"name": secretName(),
						"key":  secretKey("HMAC key", "key"),
					}},
				"max_bytes":          setting("kafka.records.max_bytes", false),
				"on_null":            setting("kafka.records.on_null", false),
				"on_refused":         setting("kafka.records.on_refused", false),
				"dead_letter_folder": setting("kafka.records.dead_letter_folder", false),
			}},
		}}
}

func runnerAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "The bundled runner itself, for spouts with `kafka`.", Attributes: map[string]schema.Attribute{
		"memory_budget": setting("runner.memory_budget", false),
		"http_port":     setting("runner.http_port", false),
		"http_address":  setting("runner.http_address", false),
		"http_hosts":    setting("runner.http_hosts", false),
		"http_token_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with the token that requests to `http_port` must carry, as a bearer token or as the password of HTTP basic authentication. `/healthz` and `/readyz` are answered without it, the latter without its reasons. It must be in Pachyderm's namespace.",
			Attributes: map[string]schema.Attribute{
				"name": secretName(),
				"key":  secretKey("token", "token"),
			}},
		"http_tls_secret": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "Kubernetes secret with a certificate, with which the runner answers at `http_port` over HTTPS only. It must be in Pachyderm's namespace.",
			Attributes: map[string]schema.Attribute{
				"name":            secretName(),
				"certificate_key": secretKey("certificate in PEM", "tls.crt"),
				"private_key_key": secretKey("private key in PEM", "tls.key"),
			}},
		"log_level":          setting("runner.log_level", false),
		"prometheus_scrape":  prometheusScrapeAttribute(),
		"image_pull_secrets": pullSecretsAttribute(),
	}}
}

func secretName() schema.Attribute {
	return schema.StringAttribute{Required: true, MarkdownDescription: "Name of the Kubernetes secret."}
}

func secretKey(what, key string) schema.Attribute {
	return schema.StringAttribute{Optional: true, MarkdownDescription: "Key of the " + what + " in it. Default: `" + key + "`."}
}
