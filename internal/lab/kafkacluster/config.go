// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Listener is one of the ways in which every broker can be spoken to.
type Listener string

// The listeners. Over Plaintext and TLS everybody is User:ANONYMOUS, who may do
// all; over the others nobody may do anything but what an ACL allows.
const (
	Plaintext Listener = "PLAINTEXT"
	TLS       Listener = "TLS"
	MutualTLS Listener = "MTLS" // the client has to show a certificate
	SASL      Listener = "SASL"
	SASLTLS   Listener = "SASLTLS"
	// controllers is for the brokers among themselves.
	controllers Listener = "CONTROLLER"
)

// protocols are Kafka's names for what is spoken on a listener.
var protocols = map[Listener]string{
	Plaintext: "PLAINTEXT", TLS: "SSL", MutualTLS: "SSL", SASL: "SASL_PLAINTEXT", SASLTLS: "SASL_SSL", controllers: "PLAINTEXT",
}

// defaults make small brokers that come to the point: what happens now and
// then on a real broker happens at once.
var defaults = map[string]string{
	"auto.create.topics.enable":                                   "false",
	"background.threads":                                          "2",
	"broker.session.timeout.ms":                                   "6000",
	"broker.heartbeat.interval.ms":                                "500",
	"group.initial.rebalance.delay.ms":                            "0",
	"log.cleaner.backoff.ms":                                      "200",
	"log.cleaner.dedupe.buffer.size":                              "8388608",
	"log.initial.task.delay.ms":                                   "500",
	"log.retention.check.interval.ms":                             "200",
	"log.segment.delete.delay.ms":                                 "200",
	"message.max.bytes":                                           "16777216",
	"num.io.threads":                                              "2",
	"num.network.threads":                                         "1",
	"num.recovery.threads.per.data.dir":                           "1",
	"offsets.topic.num.partitions":                                "2",
	"replica.fetch.max.bytes":                                     "16777216",
	"replica.fetch.wait.max.ms":                                   "100",
	"replica.selector.class":                                      "org.apache.kafka.common.replica.RackAwareReplicaSelector",
	"transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
	"transaction.state.log.num.partitions":                        "2",
}

// properties is the configuration file of one broker.
func (c *Cluster) properties(b *Broker) string {
	replicas := fmt.Sprint(len(c.brokers))
	p := maps.Clone(defaults)
	maps.Copy(p, map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  fmt.Sprint(b.ID),
		"broker.rack":                              b.Rack(),
		"log.dirs":                                 b.path("data"),
		"controller.listener.names":                string(controllers),
		"inter.broker.listener.name":               string(Plaintext),
		"authorizer.class.name":                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                              "User:ANONYMOUS",
		"default.replication.factor":               replicas,
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            "1",

		"ssl.keystore.type":                       "PEM",
		"ssl.keystore.location":                   c.path("broker.pem"),
		"ssl.truststore.type":                     "PEM",
		"ssl.truststore.location":                 c.path("authority.pem"),
		listenerKey(MutualTLS, "ssl.client.auth"): "required",

		"sasl.enabled.mechanisms":            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"sasl.oauthbearer.jwks.endpoint.url": c.Tokens.keys,
		"sasl.oauthbearer.expected.audience": Audience,
		"sasl.oauthbearer.expected.issuer":   c.Tokens.issuer,
		// Connections last as long as their token at most.
		"connections.max.reauth.ms": "3600000",
	})
	for _, l := range []Listener{SASL, SASLTLS} {
		p[listenerKey(l, "plain.sasl.jaas.config")] = loginModule("plain.PlainLoginModule", c.users)
		p[listenerKey(l, "scram-sha-256.sasl.jaas.config")] = loginModule("scram.ScramLoginModule", nil)
		p[listenerKey(l, "scram-sha-512.sasl.jaas.config")] = loginModule("scram.ScramLoginModule", nil)
		p[listenerKey(l, "oauthbearer.sasl.jaas.config")] = loginModule("oauthbearer.OAuthBearerLoginModule", nil)
		p[listenerKey(l, "oauthbearer.sasl.server.callback.handler.class")] =
			"org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
	}
	var voters, listeners, advertised, spoken []string
	for _, other := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", other.ID, other.Address(controllers)))
	}
	for _, l := range slices.Sorted(maps.Keys(protocols)) {
		at := string(l) + "://" + b.Address(l)
		listeners = append(listeners, at)
		if l != controllers {
			advertised = append(advertised, at)
		}
		spoken = append(spoken, string(l)+":"+protocols[l])
	}
	p["controller.quorum.voters"] = strings.Join(voters, ",")
	p["listeners"] = strings.Join(listeners, ",")
	p["advertised.listeners"] = strings.Join(advertised, ",")
	p["listener.security.protocol.map"] = strings.Join(spoken, ",")
	maps.Copy(p, c.options.Config)
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&file, "%s=%s\n", name, p[name])
	}
	return file.String()
}

// listenerKey is the name of a property that is for one listener.
func listenerKey(l Listener, property string) string {
	return "listener.name." + strings.ToLower(string(l)) + "." + property
}

// loginModule is the JAAS configuration of a mechanism, with users if it keeps
// them there.
func loginModule(class string, users map[string]string) string {
	text := "org.apache.kafka.common.security." + class + " required"
	for name, password := range users {
		text += fmt.Sprintf(` user_%s="%s"`, name, password)
	}
	return text + ";"
}

// logging is the configuration of Log4j: warnings go to standard output.
const logging = `<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
`
