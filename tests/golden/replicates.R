# Replicate weights with the chain of weighting made again in each replicate, by R's survey.
# Run in this folder: Rscript replicates.R [folder to write to]. Written with R survey 4.1-1.
#
# 96 selected units in 12 strata of two primary units. JKn (with populations), BRR and Fay (0.3) factors by
# as.svrepdesign. In each replicate, in plain R: unknown eligibility and non-response by class; then svrepdesign and
# postStratify.
suppressMessages(library(survey))
folder <- if (length(commandArgs(TRUE))) commandArgs(TRUE)[1] else "."
set.seed(20261124)
fmt <- function(v) formatC(v, digits = 17, width = 1, format = "g")

rows <- expand.grid(k = 1:4, psu = 1:2, h = 1:12)
n <- nrow(rows)
rows$unit_id <- sprintf("u%03d", seq_len(n))
rows$stratum <- sprintf("h%02d", rows$h)
rows$psu <- paste0(rows$stratum, "-", rows$psu)
rows$N <- rep(sample(6:15, 12, TRUE), each = 8)
rows$base <- round(rows$N / 2 * runif(n, 1, 3), 3)
rows$class <- ifelse(rows$h <= 6, "c1", "c2")
rows$cell <- paste0("g", 1 + rows$h %% 3)
rows$domain <- sample(c("d1", "d2"), n, TRUE)
rows$status <- sample(c("respondent", "eligible_nonrespondent", "unknown_eligibility", "out_of_scope"), n, TRUE,
                      prob = c(0.7, 0.12, 0.1, 0.08))
rows$y <- rbinom(n, 1, 0.3 + 0.3 * (rows$domain == "d1"))
rows$size <- round(rlnorm(n, 3, 0.8))
respondent <- rows$status == "respondent"
carried <- respondent | rows$status == "out_of_scope"
totals <- data.frame(cell = c("g1", "g2", "g3"), Freq = round(tapply(rows$base, rows$cell, sum) * c(1.1, 0.95, 1.02)))

chain <- function(w) {
  sums <- function(keep) as.numeric(tapply(w * keep, rows$class, sum)[rows$class])
  eligible <- sums(rows$status %in% c("respondent", "eligible_nonrespondent"))
  out <- sums(rows$status == "out_of_scope")
  unknown <- sums(rows$status == "unknown_eligibility")
  eligibility <- 1 + unknown / (eligible + out)
  response <- eligible / sums(respondent)
  w * eligibility * ifelse(respondent, response, 1)
}

results <- list()
factors <- list()
weights_out <- NULL
plain <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base, fpc = ~N, data = rows)
infinite <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base, data = rows)
for (type in c("JKn", "BRR", "Fay")) {
  arguments <- list(if (type == "JKn") plain else infinite, type = type, compress = FALSE)
  if (type == "Fay") arguments$fay.rho <- 0.3
  made <- do.call(as.svrepdesign, arguments)
  factor <- as.matrix(made$repweights)
  linear <- svytotal(~size, made)
  rep <- apply(factor, 2, function(f) chain(rows$base * f))
  full <- chain(rows$base)
  design <- svrepdesign(data = rows[carried, ], weights = full[carried], repweights = rep[carried, ], type = "other",
                        combined.weights = TRUE, scale = made$scale, rscales = made$rscales, mse = FALSE)
  post <- postStratify(design, ~cell, totals)
  weights_out <- weights(post, "sampling")
  share <- function(top, bottom) {
    variables <- post$variables
    answering <- variables$status == "respondent"
    post$variables$top <- answering * top(variables)
    post$variables$bottom <- answering * bottom(variables)
    made <- svyratio(~top, ~bottom, post)
    c(coef(made), sqrt(made$var))
  }
  figures <- rbind(
    c(coef(linear), SE(linear)),
    share(function(d) d$y, function(d) 1),
    share(function(d) d$y * (d$domain == "d1"), function(d) d$domain == "d1"),
    share(function(d) d$y * (d$domain == "d2"), function(d) d$domain == "d2"),
    share(function(d) d$y * d$size, function(d) d$size))
  results[[type]] <- data.frame(
    type = type, scale = made$scale, rscales = paste(fmt(rep_len(made$rscales, ncol(factor))), collapse = ";"),
    statistic = c("total_size", "mean", "mean_d1", "mean_d2", "by_size"),
    estimate = figures[, 1], se = figures[, 2])
  factors[[type]] <- data.frame(type = type, unit_id = rows$unit_id,
    factors = apply(factor, 1, function(v) paste(fmt(v), collapse = ";")))
}
rows$before <- ifelse(carried, fmt(chain(rows$base)), "")
rows$weight <- ""
rows$weight[carried] <- fmt(weights_out)
out <- rows[, c("unit_id", "stratum", "psu", "N", "base", "class", "cell", "domain", "status", "y", "size", "before",
                "weight")]
write.csv(out, file.path(folder, "replicates_data.csv"), row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, factors), file.path(folder, "replicates_factors.csv"), row.names = FALSE, quote = FALSE)
table <- do.call(rbind, results)
for (name in c("scale", "estimate", "se")) table[[name]] <- fmt(table[[name]])
write.csv(table, file.path(folder, "replicates_results.csv"), row.names = FALSE, quote = FALSE)
