# Values for tests/test_metrics.py. R 4.2, package survey. Run in this folder:
#   Rscript survey_design.R > survey_design.json
# A second argument (the folder of the airport files) prints the airport values instead.
suppressPackageStartupMessages(library(survey))

net <- function(x) ifelse(x >= 9, 100, ifelse(x <= 6, -100, 0))
entry <- function(name, estimate, se, df) sprintf(
  '  "%s": {"estimate": %.10f, "se": %.10f, "df": %d}', name, estimate, se, as.integer(df))
of <- function(name, design) {
  answered <- subset(design, !is.na(score))
  m <- svymean(~net, answered)
  entry(name, coef(m), SE(m), degf(answered))
}
read_design <- function(d) {
  d$net <- net(d$score)
  # a missing cluster is a cluster of its own
  lone <- is.na(d$cluster) | d$cluster == ""
  d$cluster <- as.character(d$cluster)
  d$cluster[lone] <- paste0("lone", seq_len(sum(lone)))
  d
}

arguments <- commandArgs(trailingOnly = TRUE)
if (length(arguments) == 0) {
  d <- read_design(read.csv("survey_design.csv"))
  full <- svydesign(ids = ~cluster, strata = ~stratum, weights = ~weight, data = d, nest = TRUE)
  flat <- svydesign(ids = ~1, weights = ~weight, data = d)
  strata <- svydesign(ids = ~1, strata = ~stratum, weights = ~weight, data = d)
  m <- svyby(~net, ~group, subset(full, !is.na(score)), svymean, covmat = TRUE)
  contrast <- svycontrast(m, c(x = 1, y = -1))
  # a stratum with one cluster, centred on the whole sample; intervals at two levels
  options(survey.lonely.psu = "adjust")
  lonely <- subset(svydesign(ids = ~cluster, strata = ~stratum, weights = ~weight, nest = TRUE,
                             data = subset(d, stratum != "B" | cluster == "B0")), !is.na(score))
  limits <- function(name, design, formula, level) {
    m <- svymean(formula, design)
    ci <- confint(m, level = level, df = degf(design))
    sprintf('  "%s": {"estimate": %.10f, "low": %.10f, "high": %.10f}', name, coef(m), ci[1], ci[2])
  }
  answered <- subset(full, !is.na(score))
  options(survey.lonely.psu = "adjust")
  out <- c(of("lonely", lonely),
           limits("wald_95", answered, ~net, 0.95), limits("wald_90", answered, ~net, 0.90),
           limits("mean_95", answered, ~score, 0.95), limits("mean_90", answered, ~score, 0.90))
  out <- c(out, of("all", full), of("x", subset(full, group == "x")), of("y", subset(full, group == "y")),
           of("weights_only", flat), of("strata_only", strata),
           entry("x_minus_y", coef(contrast), SE(contrast), 0))
} else {
  out <- c()
  for (year in c("2017", "2018")) {
    d <- read.csv(file.path(arguments[1], paste0(year, "_SFO_Customer_Survey_20250817.csv")))
    names(d) <- toupper(trimws(gsub("\\.+$", "", names(d))))
    d <- data.frame(score = as.numeric(d$NETPRO), stratum = d$STRATA, cluster = d$RUNID,
                    weight = d$WEIGHT, gender = if (year == "2018") d$Q21GENDER else d$Q20GENDER)
    d$score[d$score > 10] <- NA
    d <- read_design(d)
    full <- svydesign(ids = ~cluster, strata = ~stratum, weights = ~weight, data = d, nest = TRUE)
    m <- svyby(~net, ~gender, subset(full, !is.na(score) & gender %in% 1:2), svymean, covmat = TRUE)
    contrast <- svycontrast(m, setNames(c(1, -1), c("1", "2")))
    out <- c(out, of(paste0("sfo_", year), full),
             entry(paste0("sfo_", year, "_gender_1_minus_2"), coef(contrast), SE(contrast), 0))
  }
}
cat("{\n", paste(out, collapse = ",\n"), "\n}\n", sep = "")
