// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// Kafka says which records are read, and how the brokers are reached.
type Kafka struct {
	Brokers      []string     `env:"SPOUT_KAFKA_BROKERS" attribute:"brokers" required:"true" set:"true" address:"true" doc:"Brokers to ask for the cluster's metadata, as ´host:port´."`
	Topics       []string     `env:"SPOUT_KAFKA_TOPICS" attribute:"topics" set:"true" doc:"Topics to read, all partitions of each. Set either this or SPOUT_KAFKA_TOPICS_PATTERN."`
	Pattern      string       `env:"SPOUT_KAFKA_TOPICS_PATTERN" attribute:"topics_pattern" doc:"Read all topics whose whole name matches this regular expression (RE2), for example ´orders-.*´ for ´orders-eu´ and ´orders-us´. The runner finds topics that come later within SPOUT_KAFKA_METADATA_INTERVAL, and reads them from their beginning. It leaves out Kafka's internal topics, others whose names begin with two underscores, and topics that this user may not describe."`
	Shard        Shard        `env:"SPOUT_KAFKA_SHARD" attribute:"shard" doc:"Which share of the partitions to read, where several spouts read the same topics: ´2/8´ is the second of eight. Partitions are dealt to the shards round-robin, starting at a shard derived from the topic's name. Left out, all of them. Read about SPOUT_KAFKA_ON_SHARD_CHANGED before you change it."`
	Start        string       `env:"SPOUT_KAFKA_START" attribute:"start" time:"true" default:"earliest" doc:"Where to begin while the output branch holds no position yet. Partitions that appear later are read from their beginning." forms:"earliest: at the first record that there is\nlatest: with records that come from now on\n2026-01-31T00:00:00Z: at a time, in RFC 3339"`
	StartOffsets StartOffsets `env:"SPOUT_KAFKA_START_OFFSETS" attribute:"start_offsets" doc:"Offsets at which single partitions begin while the output branch holds no position of them yet, by topic and partition. All others begin where SPOUT_KAFKA_START says."`
	ClientID     string       `env:"SPOUT_KAFKA_CLIENT_ID" attribute:"client_id" default:"spout-runner" doc:"Client id in the brokers' logs and quotas."`

	Rack    string `env:"SPOUT_KAFKA_RACK" attribute:"rack" doc:"Rack or availability zone of the pod, as the brokers' ´broker.rack´ names it. Brokers with a replica selector (´RackAwareReplicaSelector´) let the runner read from a follower there. It returns to the leader when that fails. Left out, it reads from leaders."`
	GroupID string `env:"SPOUT_KAFKA_GROUP_ID" attribute:"group_id" doc:"Consumer group under which the runner publishes the position of what was committed, so that Kafka's own tools show the lag. Use a group that nobody else uses. Spouts that share the partitions of the same topics may share one. Nothing is ever read from there. Left out, none."`

	Isolation        string   `env:"SPOUT_KAFKA_ISOLATION" attribute:"isolation" default:"read_committed" doc:"Which records of transactions are read." values:"read_committed: those of committed transactions|read_uncommitted: those of aborted and unfinished transactions, too"`
	OnOutOfRange     string   `env:"SPOUT_KAFKA_ON_OUT_OF_RANGE" attribute:"on_out_of_range" default:"stop" doc:"What to do when the broker no longer keeps the next records. The gap is logged and kept in the commit's description. A log that was cut off below what was read always stops the runner." values:"stop: the runner stops|earliest: it continues at the first record that there is|latest: it continues with records that come from now on"`
	OnTopicRecreated string   `env:"SPOUT_KAFKA_ON_TOPIC_RECREATED" attribute:"on_topic_recreated" default:"stop" doc:"What to do when a topic was deleted and made again." values:"stop: the runner stops|restart: it reads the new topic from its beginning, whose files then get names of their own"`
	OnShardChanged   string   `env:"SPOUT_KAFKA_ON_SHARD_CHANGED" attribute:"on_shard_changed" default:"stop" doc:"What to do when SPOUT_KAFKA_SHARD is not what it was when the output branch was written." values:"stop: the runner stops|continue: it gives up partitions that now belong to another spout, and continues with those that stay. SPOUT_KAFKA_START_OFFSETS must say where the new ones begin, or the runner stops: the offsets up to which the other spouts have read them. So stop all spouts of the topics first, and give all the same offsets"`
	OnCorruptBatch   string   `env:"SPOUT_KAFKA_ON_CORRUPT_BATCH" attribute:"on_corrupt_batch" default:"stop" doc:"What to do with a batch of records that cannot be read, because of a wrong checksum, an unknown compression or broken records, after it was fetched several times, or that is larger than SPOUT_KAFKA_MAX_BATCH_BYTES." values:"stop: the runner stops|skip: it leaves the batch out. The gap and its reason are logged and kept in the commit's description"`
	MetadataInterval Duration `env:"SPOUT_KAFKA_METADATA_INTERVAL" attribute:"metadata_interval" default:"30s" doc:"How often the runner looks for new topics and partitions."`
	FetchMaxBytes    Bytes    `env:"SPOUT_KAFKA_FETCH_MAX_BYTES" attribute:"fetch_max_bytes" default:"8MiB" doc:"Most bytes to ask of one broker at once. A larger record is still read, alone. At most an eighth of SPOUT_MEMORY_BUDGET."`
	MaxBatchBytes    Bytes    `env:"SPOUT_KAFKA_MAX_BATCH_BYTES" attribute:"max_batch_bytes" default:"0" doc:"Most bytes that one batch of records may have, after decompression. A larger one is treated as SPOUT_KAFKA_ON_CORRUPT_BATCH says. 0 allows an eighth of SPOUT_MEMORY_BUDGET. At most a quarter of SPOUT_MEMORY_BUDGET. With more than an eighth, the process can take more memory than the budget and a quarter."`
	FetchMaxWait     Duration `env:"SPOUT_KAFKA_FETCH_MAX_WAIT" attribute:"fetch_max_wait" default:"500ms" doc:"How long a broker may wait for records before it answers with none."`

	TLS  OptionalTLS `attribute:"tls" prefix:"SPOUT_KAFKA_TLS" doc:"Use TLS. ´{}´ trusts the system's authorities."`
	SASL SASL        `attribute:"sasl" prefix:"SPOUT_KAFKA_SASL" doc:"Authenticate by SASL."`
}

// SASL says how the runner logs in at brokers.
type SASL struct {
	Mechanism   string `env:"SPOUT_KAFKA_SASL_MECHANISM" attribute:"mechanism" required:"true" doc:"Mechanism. Empty for none, whatever else says how to log in." values:"plain: user name and password|scram-sha-256: proves that it knows the password, without sending it|scram-sha-512: the same with SHA-512|oauthbearer: a token, for which the runner asks SPOUT_KAFKA_SASL_TOKEN_URL"`
	Credentials `attribute:"credentials_secret" required:"true" doc:"Kubernetes secret with the user name and the password. For ´oauthbearer´ they are the client id and the client secret."`
	TokenURL    string   `env:"SPOUT_KAFKA_SASL_TOKEN_URL" attribute:"token_url" address:"true" doc:"For ´oauthbearer´: the endpoint that gives tokens to clients (OAuth 2.0, client credentials), for example ´https://login.example.com/oauth2/token´. Its certificate is checked as the brokers' are."`
	Scope       string   `env:"SPOUT_KAFKA_SASL_SCOPE" attribute:"scope" doc:"For ´oauthbearer´: scopes to ask for, separated by blanks."`
	Extensions  []string `env:"SPOUT_KAFKA_SASL_EXTENSIONS" attribute:"extensions" set:"true" doc:"For ´oauthbearer´: what the brokers want to know besides the token, for example ´logicalCluster=lkc-1´ and ´identityPoolId=pool-1´."`

	AllowCleartext bool `env:"SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether a password, token or client secret may be sent without TLS: by ´plain´ or ´oauthbearer´ to brokers without SPOUT_KAFKA_TLS, or to a token endpoint at ´http://´. Everybody on the way can read it. Without this, the runner sends it to this machine only. SCRAM sends no password, so without TLS there is only a warning."`
}

// SASLMechanisms lists the mechanisms.
var SASLMechanisms = namesOf("SPOUT_KAFKA_SASL_MECHANISM")

var (
	startKeywords = []string{"earliest", "latest"}
	minFetchBytes = Bytes(64 << 10)
	maxFetchBytes = Bytes(1 << 30)
	// A quarter of the memory is for what was fetched, and two fetches must fit in it.
	memoryPerFetch = Bytes(8)
	minMaxBatch    = Bytes(1 << 20) // what brokers take by default
	memoryPerBatch = Bytes(4)
)

// Selector returns what says whether a topic is to be read: Topics names it,
// or the whole of its name matches Pattern. Names that begin with two
// underscores are for the cluster's own use, and no pattern matches them. Nor
// does one match what is no name of a topic, whatever a broker says: names are
// parts of paths.
func (k Kafka) Selector() func(topic string) bool {
	if k.Pattern == "" {
		return func(topic string) bool { return slices.Contains(k.Topics, topic) }
	}
	pattern, err := k.pattern()
	return func(topic string) bool {
		return err == nil && IsTopicName(topic) && !strings.HasPrefix(topic, "__") && pattern.MatchString(topic)
	}
}

func (k Kafka) pattern() (*regexp.Regexp, error) { return regexp.Compile("^(?:" + k.Pattern + ")$") }

// StartTime returns the time that Start names, and whether it is a time.
func (k Kafka) StartTime() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, k.Start)
	return t, err == nil
}

func (k Kafka) streams() streams {
	return streams{names: k.Topics, others: k.Pattern != "", variables: []string{"SPOUT_KAFKA_TOPICS"}}
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// IsTopicName is Kafka's own rule for names of topics.
func IsTopicName(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

func (k Kafka) validate(all Settings) (p Problems) {
	if len(k.Brokers) == 0 {
		p.add("SPOUT_KAFKA_BROKERS", "", "must name at least one broker, such as kafka.example.com:9092")
	}
	brokers := k.Brokers
	if list := strings.Join(brokers, ","); address.HasLogin(list) {
		brokers = []string{list} // a comma may be a password's
	}
	for _, broker := range brokers {
		host, port, err := net.SplitHostPort(broker)
		if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 || address.HasLogin(broker) {
			p.add("SPOUT_KAFKA_BROKERS", broker, "must be host:port, such as kafka.example.com:9092")
		}
	}
	p = append(p, k.validateTopics()...)
	if _, isTime := k.StartTime(); !isTime && !slices.Contains(startKeywords, k.Start) {
		p.add("SPOUT_KAFKA_START", k.Start, "must be earliest, latest or a time such as 2026-01-31T00:00:00Z")
	}
	if k.ClientID == "" {
		p.add("SPOUT_KAFKA_CLIENT_ID", "", "must not be empty; leave it out for the default")
	}
	p = append(p, k.validateOAuth()...)
	p = append(p, k.TLS.validate("SPOUT_KAFKA_TLS")...)
	return append(p, k.validateLimits(all.MemoryBudget)...)
}

// validateTopics checks which topics are named.
func (k Kafka) validateTopics() (p Problems) {
	switch {
	case len(k.Topics) == 0 && k.Pattern == "":
		p.add("SPOUT_KAFKA_TOPICS", "", "must name at least one topic, or SPOUT_KAFKA_TOPICS_PATTERN must match some", "SPOUT_KAFKA_TOPICS_PATTERN")
	case len(k.Topics) > 0 && k.Pattern != "":
		p.add("SPOUT_KAFKA_TOPICS_PATTERN", k.Pattern, "cannot be set together with SPOUT_KAFKA_TOPICS; set one of the two; a pattern can be names with | between them")
		return p
	}
	for i, topic := range k.Topics {
		switch {
		case !IsTopicName(topic):
			p.add("SPOUT_KAFKA_TOPICS", topic, "is not a name of a Kafka topic: letters, digits, '.', '_' and '-', at most 249")
		case slices.Contains(k.Topics[:i], topic):
			p.add("SPOUT_KAFKA_TOPICS", topic, "is there twice; name each topic once")
		}
	}
	if _, err := k.pattern(); k.Pattern != "" && err != nil {
		p.add("SPOUT_KAFKA_TOPICS_PATTERN", k.Pattern, "is not a regular expression of RE2: "+strings.TrimPrefix(err.Error(), "error parsing regexp: ")+"; write it as orders-.*")
		return p
	}
	wants := k.Selector()
	for _, topic := range slices.Sorted(maps.Keys(k.StartOffsets)) {
		if (len(k.Topics) > 0 || k.Pattern != "") && !wants(topic) {
			p.add("SPOUT_KAFKA_START_OFFSETS", k.StartOffsets.String(), "has the topic "+topic+", which is not read; SPOUT_KAFKA_TOPICS or SPOUT_KAFKA_TOPICS_PATTERN must have it too",
				"SPOUT_KAFKA_TOPICS", "SPOUT_KAFKA_TOPICS_PATTERN")
		}
	}
	return p
}

// validateOAuth checks what goes with the mechanism oauthbearer, and only with it.
func (k Kafka) validateOAuth() (p Problems) {
	if k.SASL.Mechanism != "oauthbearer" {
		for variable, value := range map[string]string{"SPOUT_KAFKA_SASL_TOKEN_URL": k.SASL.TokenURL, "SPOUT_KAFKA_SASL_SCOPE": k.SASL.Scope,
			"SPOUT_KAFKA_SASL_EXTENSIONS": strings.Join(k.SASL.Extensions, ",")} {
			if value != "" {
				p.add(variable, value, "is for oauthbearer; set SPOUT_KAFKA_SASL_MECHANISM=oauthbearer, or take it out", "SPOUT_KAFKA_SASL_MECHANISM")
			}
		}
		return p
	}
	if u, err := url.Parse(k.SASL.TokenURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		p.add("SPOUT_KAFKA_SASL_TOKEN_URL", k.SASL.TokenURL, "must be the URL of the token endpoint without a user or password, such as https://login.example.com/oauth2/token, since SPOUT_KAFKA_SASL_MECHANISM is oauthbearer", "SPOUT_KAFKA_SASL_MECHANISM")
	}
	for _, extension := range k.SASL.Extensions {
		if !saslExtension.MatchString(extension) || strings.HasPrefix(extension, "auth=") {
			p.add("SPOUT_KAFKA_SASL_EXTENSIONS", extension, "must be a name of letters, '=' and a value, such as logicalCluster=lkc-1")
		}
	}
	return p
}

// saslExtension is the form of RFC 7628, section 3.1.
var saslExtension = regexp.MustCompile(`^[A-Za-z]+=[\x21-\x7E \t\r\n]+$`)

func (k Kafka) largestBatch() Bytes { return k.MaxBatchBytes }

func (k Kafka) validateLimits(budget Bytes) (p Problems) {
	if k.FetchMaxBytes < minFetchBytes || k.FetchMaxBytes > maxFetchBytes {
		p.add("SPOUT_KAFKA_FETCH_MAX_BYTES", k.FetchMaxBytes.String(), "must be from "+minFetchBytes.String()+" to "+maxFetchBytes.String())
	}
	if wait := k.FetchMaxWait.Std(); wait < time.Millisecond || wait > time.Minute {
		p.add("SPOUT_KAFKA_FETCH_MAX_WAIT", k.FetchMaxWait.String(), "must be from 1ms to 1m")
	}
	if most := budget / memoryPerBatch; k.MaxBatchBytes != 0 && (k.MaxBatchBytes < minMaxBatch || k.MaxBatchBytes > most) {
		p.add("SPOUT_KAFKA_MAX_BATCH_BYTES", k.MaxBatchBytes.String(),
			fmt.Sprintf("must be from %s to %s, a quarter of SPOUT_MEMORY_BUDGET, or 0 for an eighth", minMaxBatch, most), "SPOUT_MEMORY_BUDGET")
	}
	if k.MetadataInterval.Std() < time.Second {
		p.add("SPOUT_KAFKA_METADATA_INTERVAL", k.MetadataInterval.String(), "must be at least 1s")
	}
	least := memoryPerFetch * k.FetchMaxBytes
	switch {
	case budget >= least:
	case budget == def.MemoryBudget:
		p.add("SPOUT_KAFKA_FETCH_MAX_BYTES", k.FetchMaxBytes.String(), fmt.Sprintf("calls for more memory: SPOUT_MEMORY_BUDGET must be at least %s, %d times as much, and is %s", least, memoryPerFetch, budget), "SPOUT_MEMORY_BUDGET")
	default:
		p.add("SPOUT_MEMORY_BUDGET", budget.String(), fmt.Sprintf("must be at least %s, %d times SPOUT_KAFKA_FETCH_MAX_BYTES", least, memoryPerFetch), "SPOUT_KAFKA_FETCH_MAX_BYTES")
	}
	return p
}

func (k Kafka) validateSecrets() (p Problems) {
	if k.SASL.Mechanism != "" && (k.SASL.Username == "" || k.SASL.Password == "") {
		p.add("SPOUT_KAFKA_SASL_USERNAME, SPOUT_KAFKA_SASL_PASSWORD", "",
			"must both be set from a Kubernetes secret, since SPOUT_KAFKA_SASL_MECHANISM is", "SPOUT_KAFKA_SASL_USERNAME", "SPOUT_KAFKA_SASL_PASSWORD")
	}
	if k.SASL.Mechanism == "" && (k.SASL.Username != "" || k.SASL.Password != "") {
		p.add("SPOUT_KAFKA_SASL_MECHANISM", "", "must be one of "+strings.Join(SASLMechanisms, ", ")+", since a SASL user name or password is given")
	}
	return append(p, k.TLS.validateSecrets("SPOUT_KAFKA_TLS")...)
}

func (k Kafka) exposures() (list []exposure) {
	const allow = "SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS"
	if broker := k.exposedBroker(); broker != "" && k.SASL.Mechanism != "" {
		e := exposure{variable: "SPOUT_KAFKA_SASL_MECHANISM", value: k.SASL.Mechanism, fix: "use TLS (SPOUT_KAFKA_TLS)",
			allow: allow, allowed: k.SASL.AllowCleartext, with: []string{"SPOUT_KAFKA_TLS", "SPOUT_KAFKA_BROKERS"}}
		switch {
		case k.sendsSecret():
			e.what = "sends a password or token that everybody on the way to " + address.Redacted(broker) + " can read, since there is no TLS"
		case strings.HasPrefix(k.SASL.Mechanism, "scram"):
			e.what, e.allow = "sends no password, but without TLS everybody on the way to "+address.Redacted(broker)+" can read the records, and guess at a weak password from what is sent", ""
		}
		if e.what != "" {
			list = append(list, e)
		}
	}
	if k.SASL.Mechanism == "oauthbearer" && address.IsClearHTTP(k.SASL.TokenURL) {
		list = append(list, exposure{variable: "SPOUT_KAFKA_SASL_TOKEN_URL", value: address.Redacted(k.SASL.TokenURL), fix: "use https://",
			what:  "gets the client secret so that everybody on the way can read it, since there is no TLS",
			allow: allow, allowed: k.SASL.AllowCleartext, with: []string{"SPOUT_KAFKA_SASL_MECHANISM"}})
	}
	return list
}

// sendsSecret says whether the mechanism sends what lets others log in.
func (k Kafka) sendsSecret() bool {
	return k.SASL.Mechanism == "plain" || k.SASL.Mechanism == "oauthbearer"
}

// MayLogin says whether the credentials may be sent to a broker: its address
// may be one that other brokers have told.
func (k Kafka) MayLogin(broker string) bool {
	return k.TLS.Enabled || k.SASL.AllowCleartext || !k.sendsSecret() || address.IsLoopback(broker)
}

// exposedBroker is a broker that is reached over the network without TLS.
func (k Kafka) exposedBroker() string {
	at := slices.IndexFunc(k.Brokers, func(broker string) bool { return !address.IsLoopback(broker) })
	if k.TLS.Enabled || at < 0 {
		return ""
	}
	return k.Brokers[at]
}
